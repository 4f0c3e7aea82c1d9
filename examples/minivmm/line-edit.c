/* SPDX-License-Identifier: BSD-3-Clause */
#include "line-edit.h"

#include <stdio.h>

#ifdef HAVE_LIBEDIT

#include <editline/readline.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"

/* libedit's interface has no place for a caller's own data. */
static struct {
    void (*on_line)(const char *line, void *opaque);
    void *opaque;
    bool active;
} editor;

static void take_line(char *line)
{
    if (line && *line)
        add_history(line);
    editor.on_line(line, editor.opaque);
    free(line);
}

static char *next_match(const char *prefix, int n)
{
    const char *match = command_complete(prefix, n);

    return match ? strdup(match) : NULL;
}

/* Only the first word is a command. */
static char **complete(const char *text, int start, int end)
{
    (void)end;
    rl_attempted_completion_over = 1;
    return start == 0 ? rl_completion_matches(text, next_match) : NULL;
}

bool line_edit_begin(void (*on_line)(const char *line, void *opaque), void *opaque)
{
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return false;
    editor.on_line = on_line;
    editor.opaque = opaque;
    editor.active = true;
    rl_readline_name = "minivmm";
    rl_attempted_completion_function = complete;
    rl_callback_handler_install("minivmm> ", take_line);
    return true;
}

void line_edit_read(void)
{
    rl_callback_read_char();
}

void line_edit_print(const char *text)
{
    /* Back to the first column, and clear the line (ECMA-48, 8.3.41). */
    if (editor.active)
        fputs("\r\033[K", stdout);
    fputs(text, stdout);
    fflush(stdout);
    if (editor.active) {
        rl_on_new_line();
        rl_forced_update_display();
    }
}

void line_edit_end(void)
{
    if (editor.active)
        rl_callback_handler_remove();
    editor.active = false;
}

#else

bool line_edit_begin(void (*on_line)(const char *line, void *opaque) G_GNUC_UNUSED,
                     void *opaque G_GNUC_UNUSED)
{
    return false;
}

void line_edit_read(void)
{
}

void line_edit_print(const char *text)
{
    fputs(text, stdout);
    fflush(stdout);
}

void line_edit_end(void)
{
}

#endif
