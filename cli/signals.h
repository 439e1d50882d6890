/* SPDX-License-Identifier: Apache-2.0 */
/* Signals that end the program: what is half written is removed first, and the shell sees the
 * signal. */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

#include "cli.h"

/* From now on SIGINT, SIGTERM, SIGHUP, SIGQUIT and SIGXCPU remove what is half written and end the
 * program; those that were ignored when it was started (nohup, a script's background) stay so.
 * Writing to a pipe without a reader or over a limit of file sizes is an error of the write. */
void cli_handle_signals(void);
/* Called in the handler as well, so by what a handler may do. One function at a time. */
void cli_at_signal(void (*remove)(void));

/* From now on the first SIGINT asks to stop: stdin ends where it is, cli_stopped() is true, and
 * the caller finishes what it has. The second one ends the program. */
void cli_stop_by_interrupt(void);
bool cli_stopped(void);

/* Close everything, as cli_die does, and die by the signal. */
_Noreturn void cli_end_by_signal(int signal_number);

#endif
