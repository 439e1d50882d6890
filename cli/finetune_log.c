/* SPDX-License-Identifier: Apache-2.0 */
/* The log of a run. One that goes on from a checkpoint takes steps again that its log has already:
 * what is there of them is cut off before the first line is written. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "finetune.h"

static FILE *file; /* NULL: none */
static const char *name;
static bool to_be_cut;

static void fail(void)
{
    cli_die(cli_code(sqz_status_of_errno(errno, 1)), "%s: cannot write: %s", name, strerror(errno));
}

/* The bytes of the lines before the first one of step `from` or later. A last line without its end
 * was being written when the run was killed. */
static off_t bytes_before(uint64_t from)
{
    char *line = NULL;
    size_t room = 0;
    off_t kept = 0;
    unsigned long long step;
    rewind(file);
    for (uint64_t number = 1;; number++) {
        const ssize_t n = getline(&line, &room, file);
        if (n <= 0 || line[n - 1] != '\n') break;
        if (sscanf(line, "{\"step\":%llu,", &step) != 1)
            cli_die(CLI_BAD_FILE,
                    "%s: line %llu is no line of a training log: name another file with --log",
                    name, (unsigned long long)number);
        if (step >= from) break;
        kept += n;
    }
    free(line);
    if (ferror(file)) cli_die(CLI_BAD_FILE, "%s: cannot read: %s", name, strerror(errno));
    return kept;
}

void cli_log_open(const char *path, bool go_on)
{
    struct stat facts;
    if (!path) return;
    name = path;
    file = fopen(path, go_on ? "a+e" : "we");
    if (!file || fstat(fileno(file), &facts) != 0) fail();
    to_be_cut = go_on && S_ISREG(facts.st_mode);
    if (to_be_cut) (void)bytes_before(UINT64_MAX);
}

static void begin_line(uint64_t step)
{
    if (to_be_cut && ftruncate(fileno(file), bytes_before(step)) != 0) fail();
    to_be_cut = false;
    fprintf(file, "{\"step\":%llu", (unsigned long long)step);
}

static void put(const char *key, double value)
{
    if (isfinite(value)) fprintf(file, ",\"%s\":%.9g", key, value);
    else fprintf(file, ",\"%s\":null", key);
}

/* A line is there once it is written: whoever looks, or kills the run, finds it. */
static void end_line(void)
{
    if (fputs("}\n", file) == EOF || fflush(file) != 0) fail();
}

void cli_log_step(const sqz_train_progress *p, const sqz_distil_recipe *losses)
{
    if (!file) return;
    begin_line(p->step);
    fprintf(file, ",\"epoch\":%u,\"pieces\":%u", p->epoch, p->n_tokens);
    put("loss", p->loss);
    for (uint32_t i = 0; losses && i < SQZ_DISTIL_LOSSES; i++)
        if (losses->weights[i] > 0) put(sqz_distil_loss_name((sqz_distil_loss)i), p->losses[i]);
    put("norm", p->norm);
    put("rate", p->rate);
    end_line();
}

void cli_log_figures(uint64_t step, const char *const *names, const double *values, uint32_t n)
{
    if (!file) return;
    begin_line(step);
    for (uint32_t f = 0; f < n; f++) put(names[f], values[f]);
    end_line();
}

void cli_log_close(void)
{
    if (file && fclose(file) != 0) fail();
    file = NULL;
}
