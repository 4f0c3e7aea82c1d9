/* SPDX-License-Identifier: BSD-3-Clause */
#include "commands.h"

#include <string.h>

#include "info.h"
#include "resize.h"
#include "state.h"

/* args[0] is the command's name. Returns false and sets error, or appends to out. */
typedef bool CommandFunc(Machine *m, char **args, GString *out, GError **error);

/* The arguments of plug and unplug. */
typedef struct RequestArgs {
    uint32_t first, last; /* vCPUs */
    uint32_t flags;       /* VcpuhpRequestFlags */
    uint32_t timeout_ms;
} RequestArgs;

/* FIRST or FIRST-LAST */
static bool parse_vcpus(const char *text, uint32_t *ret_first, uint32_t *ret_last, GError **error)
{
    g_auto(GStrv) ends = g_strsplit(text, "-", 2);
    uint32_t first, last;

    if (!parse_number("vCPU", ends[0] ? ends[0] : "", 0, G_MAXUINT32, &first, error))
        return false;
    last = first;
    if (ends[1] && !parse_number("last vCPU", ends[1], first, G_MAXUINT32, &last, error))
        return false;
    *ret_first = first;
    *ret_last = last;
    return true;
}

/* VCPUS [until-on] [MS] */
static bool parse_request(char **args, RequestArgs *ret_args, GError **error)
{
    RequestArgs parsed = {0};
    char **arg = &args[2];

    if (!parse_vcpus(args[1], &parsed.first, &parsed.last, error))
        return false;
    if (*arg && !strcmp(*arg, "until-on")) {
        parsed.flags = VCPUHP_UNTIL_ON;
        arg++;
    }
    if (*arg && !parse_number("timeout", *arg++, 0, G_MAXUINT32, &parsed.timeout_ms, error))
        return false;
    if (*arg) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "\"%s\" is one argument too many", *arg);
        return false;
    }
    *ret_args = parsed;
    return true;
}

/* Plug and unplug stop at the first vCPU of the range that is refused. */
static bool do_plug(Machine *m, char **args, GString *out, GError **error)
{
    RequestArgs parsed;
    uint32_t id;

    if (!parse_request(args, &parsed, error))
        return false;
    for (uint32_t vcpu = parsed.first; vcpu <= parsed.last; vcpu++) {
        if (!vcpuhp_plug(m->hp, vcpu, parsed.flags, parsed.timeout_ms, &id, error))
            return false;
        g_string_append_printf(out, "request %u\n", id);
    }
    return true;
}

static bool do_unplug(Machine *m, char **args, GString *out, GError **error)
{
    RequestArgs parsed;
    uint32_t id;

    if (!parse_request(args, &parsed, error))
        return false;
    for (uint32_t vcpu = parsed.first; vcpu <= parsed.last; vcpu++) {
        if (!vcpuhp_unplug(m->hp, vcpu, parsed.flags, parsed.timeout_ms, &id, error))
            return false;
        g_string_append_printf(out, "request %u\n", id);
    }
    return true;
}

static bool do_cancel(Machine *m, char **args, GString *out G_GNUC_UNUSED, GError **error)
{
    uint32_t id;

    return parse_number("request", args[1], 0, G_MAXUINT32, &id, error) &&
           vcpuhp_cancel(m->hp, id, error);
}

static bool do_repeat(Machine *m, char **args, GString *out G_GNUC_UNUSED, GError **error)
{
    uint32_t id;

    return parse_number("request", args[1], 0, G_MAXUINT32, &id, error) &&
           vcpuhp_repeat(m->hp, id, error);
}

static bool do_force(Machine *m, char **args, GString *out G_GNUC_UNUSED, GError **error)
{
    uint32_t vcpu;

    return parse_number("vCPU", args[1], 0, G_MAXUINT32, &vcpu, error) &&
           vcpuhp_force(m->hp, vcpu, error);
}

static bool do_reset(Machine *m, char **args G_GNUC_UNUSED, GString *out G_GNUC_UNUSED,
                     GError **error G_GNUC_UNUSED)
{
    machine_stop(m, AFTER_STOP_RESET);
    return true;
}

static bool do_kernel(Machine *m, char **args, GString *out G_GNUC_UNUSED, GError **error)
{
    return machine_set_kernel(m, args[1], error);
}

static bool do_pause(Machine *m, char **args G_GNUC_UNUSED, GString *out G_GNUC_UNUSED,
                     GError **error G_GNUC_UNUSED)
{
    vcpus_pause(m);
    return true;
}

static bool do_resume(Machine *m, char **args G_GNUC_UNUSED, GString *out G_GNUC_UNUSED,
                      GError **error G_GNUC_UNUSED)
{
    vcpus_resume(m);
    return true;
}

static bool do_save(Machine *m, char **args, GString *out G_GNUC_UNUSED, GError **error)
{
    return machine_may_open(m, error) && file_save(m, args[1], error);
}

static bool do_migrate(Machine *m, char **args, GString *out G_GNUC_UNUSED, GError **error)
{
    MigrateLimits limits = {.down_ms = 300, .rounds = 30};
    char **arg = &args[2];

    return machine_may_open(m, error) &&
           (!*arg || parse_number("down-time", *arg++, 1, G_MAXUINT32, &limits.down_ms, error)) &&
           (!*arg || parse_number("rounds", *arg, 1, G_MAXUINT32, &limits.rounds, error)) &&
           migration_start(m, args[1], &limits, error);
}

static bool do_resize(Machine *m, char **args, GString *out, GError **error)
{
    uint32_t n, timeout_ms = 0;

    return parse_number("CPUs", args[1], 1, vcpuhp_n_vcpus(m->hp), &n, error) &&
           (!args[2] || parse_number("timeout", args[2], 0, G_MAXUINT32, &timeout_ms, error)) &&
           resize_start(m, n, timeout_ms, out, error);
}

static bool do_quit(Machine *m, char **args G_GNUC_UNUSED, GString *out G_GNUC_UNUSED,
                    GError **error G_GNUC_UNUSED)
{
    machine_quit(m);
    return true;
}

static CommandFunc do_help;

static const struct Command {
    const char *name, *args, *help;
    uint32_t min_args, max_args;
    CommandFunc *func;
} commands[] = {
    {"info", "", "show the machine, its vCPUs and counters", 0, 0, info_show},
    {"plug", " VCPU [until-on] [MS]",
     "enable a vCPU, or FIRST-LAST, and notify the guest; time out after MS milliseconds", 1, 3,
     do_plug},
    {"unplug", " VCPU [MS]", "ask the guest to give a vCPU, or FIRST-LAST, back", 1, 2, do_unplug},
    {"resize", " N [MS]", "plug or unplug vCPUs until N are enabled", 1, 2, do_resize},
    {"cancel", " REQUEST", "withdraw a request that the guest has not seen", 1, 1, do_cancel},
    {"repeat", " REQUEST", "raise a request again", 1, 1, do_repeat},
    {"force", " VCPU", "disable a vCPU without asking the guest", 1, 1, do_force},
    {"reset", "", "reset the machine", 0, 0, do_reset},
    {"kernel", " FILE", "load another kernel at the next reset", 1, 1, do_kernel},
    {"pause", "", "let no vCPU run", 0, 0, do_pause},
    {"resume", "", "end the pause", 0, 0, do_resume},
    {"save", " FILE", "save the machine; see --restore", 1, 1, do_save},
    {"migrate", " SOCKET [MS] [ROUNDS]",
     "move the machine to another minivmm, see --incoming, with a down-time of about MS "
     "milliseconds (300), to be reached in ROUNDS (30)",
     1, 3, do_migrate},
    {"quit", "", "end minivmm", 0, 0, do_quit},
    {"help", "", "list the commands", 0, 0, do_help},
};

static bool do_help(Machine *m G_GNUC_UNUSED, char **args G_GNUC_UNUSED, GString *out,
                    GError **error G_GNUC_UNUSED)
{
    for (gsize i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_autofree char *usage = g_strconcat(commands[i].name, commands[i].args, NULL);

        g_string_append_printf(out, "%-25s %s\n", usage, commands[i].help);
    }
    return true;
}

static bool execute(Machine *m, char **args, GString *out, GError **error)
{
    uint32_t n_args = args[0] ? g_strv_length(args) - 1 : 0;

    for (gsize i = 0; args[0] && i < G_N_ELEMENTS(commands); i++) {
        const struct Command *command = &commands[i];

        if (strcmp(args[0], command->name))
            continue;
        if (n_args >= command->min_args && n_args <= command->max_args)
            return command->func(m, args, out, error);
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "usage: %s%s", command->name,
                    command->args);
        return false;
    }
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION,
                "there is no command \"%s\"; see help", args[0] ? args[0] : "");
    return false;
}

char *command_execute(Machine *m, const char *line)
{
    g_autofree char *text = g_strdelimit(g_strdup(line), "\t\r", ' ');
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    g_autofree char **args = g_new0(char *, g_strv_length(words) + 1);
    g_autoptr(GError) error = NULL;
    GString *out = g_string_new(NULL);
    gsize n = 0;

    for (char **word = words; *word; word++)
        if (**word)
            args[n++] = *word;
    if (execute(m, args, out, &error))
        g_string_append(out, "ok\n");
    else
        g_string_append_printf(out, "error: %s\n", error->message);
    return g_string_free(out, FALSE);
}

const char *command_complete(const char *prefix, uint32_t n)
{
    for (gsize i = 0; i < G_N_ELEMENTS(commands); i++)
        if (g_str_has_prefix(commands[i].name, prefix) && n-- == 0)
            return commands[i].name;
    return NULL;
}
