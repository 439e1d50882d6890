/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void (*volatile remove_more)(void);
static volatile sig_atomic_t stopping, stopped;
static int empty = -1; /* /dev/null */

static void die_by(int signal_number)
{
    struct sigaction none = {.sa_handler = SIG_DFL};
    (void)sigaction(signal_number, &none, NULL);
    (void)raise(signal_number); /* in a handler: delivered when it returns */
}

/* A read of stdin that waits is begun again (SA_RESTART), and finds its end. */
static void handle(int signal_number)
{
    const int kept = errno;
    if (signal_number == SIGINT && stopping && !stopped) {
        stopped = 1;
        (void)dup2(empty, STDIN_FILENO);
        errno = kept;
        return;
    }
    sqz_remove_temporaries();
    if (remove_more) remove_more();
    die_by(signal_number);
    errno = kept;
}

void cli_handle_signals(void)
{
    static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGXCPU};
    struct sigaction how = {.sa_handler = handle, .sa_flags = SA_RESTART}, before;
    sigfillset(&how.sa_mask);
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
        if (sigaction(ending[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            (void)sigaction(ending[i], &how, NULL);
    how = (struct sigaction){.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &how, NULL);
#ifdef SIGXFSZ
    (void)sigaction(SIGXFSZ, &how, NULL);
#endif
}

void cli_at_signal(void (*remove)(void))
{
    remove_more = remove;
}

void cli_stop_by_interrupt(void)
{
    if (empty < 0) empty = open("/dev/null", O_RDONLY | O_CLOEXEC);
    stopping = empty >= 0;
}

bool cli_stopped(void)
{
    return stopped != 0;
}

_Noreturn void cli_end_by_signal(int signal_number)
{
    cli_end();
    die_by(signal_number);
    _exit(128 + signal_number); /* the signal is blocked */
}
