/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Line editing, history and completion of commands on the terminal, by libedit. A build without
 * libedit has none of it: line_edit_begin() returns false. In the main thread.
 */
#ifndef MINIVMM_LINE_EDIT_H
#define MINIVMM_LINE_EDIT_H

#include "machine.h"

/* Edit lines on standard input, if it and standard output are terminals. on_line gets each line;
 * NULL is the end of input. */
bool line_edit_begin(void (*on_line)(const char *line, void *opaque), void *opaque);
/* Standard input is readable. */
void line_edit_read(void);
/* Print text above the line that is being edited; the same as monitor_print() if there is none. */
void line_edit_print(const char *text);
void line_edit_end(void);

#endif
