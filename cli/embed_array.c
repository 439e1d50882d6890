/* SPDX-License-Identifier: Apache-2.0 */
/* Records in, rows out. An array has no place for an error, so a record that fails ends it, leaves
 * no row, or leaves a row of NaN; what was done before is kept in each case, and where the user
 * interrupts the work. */
#define _POSIX_C_SOURCE 200809L
#include "embed_array.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "npy_rows.h"
#include "output.h"
#include "signals.h"
#include "stream.h"

enum { STOP, SKIP, NAN_ROW };

static const char *path;
static uint32_t on_error;

const cli_option cli_array_options[] = {
    {"output", 'o', CLI_TEXT, &path, "FILE.npy",
     "write a NumPy array [records, dimensions] instead of lines; - is stdout"},
    {"on-error", 0, CLI_CHOICE, &on_error, "stop|skip|nan",
     "with -o, a record that fails: ends the array before it (the default), has no row, has a row "
     "of NaN. skip and nan list the records in FILE.npy.errors.jsonl, of a pipe on stderr"},
    {0},
};

typedef struct job {
    sqz_status (*run)(const sqz_input *inputs, uint32_t n, void *results, sqz_error *error);
    cli_output *index; /* of the records that failed; NULL: stderr */
    char *index_path;
    sqz_input *inputs;
    sqz_embedding *results;
    uint64_t n, n_rows, n_failed, n_cut;
    bool ended;
} job;

bool cli_array_wanted(void)
{
    return path != NULL;
}

void cli_array_check(const char *model)
{
    if (!path && on_error) cli_die(CLI_USAGE, "--on-error goes with -o FILE.npy");
    if (!path) return;
    if (cli.json)
        cli_die(CLI_USAGE, "-o writes a NumPy array, --json lines: leave one of them out");
    if (cli.strict && on_error)
        cli_die(CLI_USAGE, "--strict is --on-error stop: leave one of them out");
    cli_not_over(path, model);
}

/* An index is there also where it is empty, so that none of an earlier run stands beside the
 * array. */
static void open_index(job *j)
{
    const size_t bytes = strlen(path) + sizeof ".errors.jsonl";
    j->index_path = cli_allocate(NULL, bytes);
    snprintf(j->index_path, bytes, "%s.errors.jsonl", path);
    j->index = cli_open_output(j->index_path);
}

static void list(job *j, uint64_t line, sqz_status status, const char *text)
{
    if (!j->index) {
        cli_say("stdin: line %llu: %s", (unsigned long long)line, text);
        return;
    }
    cli_write_to(j->index);
    cli_json_open('{');
    cli_json_key_number("record", j->n);
    cli_json_key_number("line", line);
    cli_json_key("row");
    if (on_error == NAN_ROW) cli_json_number(j->n_rows);
    else cli_json_null();
    cli_json_key_string("error", text);
    cli_json_key_string("code", sqz_status_name(status));
    cli_json_close('}');
    cli_write_to(NULL);
}

static void take_fault(job *j, uint64_t line, sqz_status status, const char *text)
{
    j->n_failed++;
    list(j, line, status, text);
    if (on_error == NAN_ROW) {
        cli_npy_put(NULL);
        j->n_rows++;
    }
    j->ended = on_error == STOP;
}

static void take_result(job *j, uint64_t line, const sqz_embedding *result)
{
    if (result->outcome.status != SQZ_OK) {
        take_fault(j, line, result->outcome.status, result->outcome.text);
        return;
    }
    j->n_cut += result->outcome.cut > 0;
    cli_npy_put(result->vectors);
    j->n_rows++;
}

static void run_portion(job *j, const cli_record *records, uint32_t n)
{
    sqz_error error = {0};
    uint32_t good = 0;
    j->inputs = cli_allocate(j->inputs, n * sizeof *j->inputs);
    j->results = cli_allocate(j->results, n * sizeof *j->results);
    for (uint32_t r = 0; r < n; r++)
        if (records[r].status == SQZ_OK) j->inputs[good++] = records[r].input;
    if (good) cli_check(j->run(j->inputs, good, j->results, &error), &error);
    const sqz_embedding *result = j->results;
    for (uint32_t r = 0; r < n && !j->ended; r++) {
        j->n++;
        if (records[r].status != SQZ_OK)
            take_fault(j, records[r].line, records[r].status, records[r].fault);
        else take_result(j, records[r].line, result++);
    }
    cli_npy_flush();
}

/* What becomes of the run, said when the array is in place. */
static int finish(job *j)
{
    const bool stopped = cli_stopped();
    cli_say_cut(j->n_cut, j->n, "texts");
    if (j->n_failed && !j->ended)
        cli_say("%llu of %llu records failed and have %s%s%s", (unsigned long long)j->n_failed,
                (unsigned long long)j->n, on_error == SKIP ? "no row" : "rows of NaN",
                j->index ? ", listed in " : "", j->index ? j->index_path : "");
    if (j->ended || stopped)
        cli_say("%s: %s holds the %llu row%s before", stopped ? "interrupted" : "stopped", path,
                (unsigned long long)j->n_rows, j->n_rows == 1 ? "" : "s");
    free(j->index_path);
    free(j->inputs);
    free(j->results);
    if (stopped) cli_end_by_signal(SIGINT);
    return j->n_failed ? CLI_FAILED : CLI_DONE;
}

int cli_write_array(uint32_t columns, sqz_status (*run)(const sqz_input *inputs, uint32_t n,
                                                        void *results, sqz_error *error))
{
    job j = {.run = run};
    cli_record *records;
    const bool is_file = cli_npy_open(path, columns);
    if (is_file && on_error != STOP) open_index(&j);
    cli_records_open((cli_reading){.column = "text", .column2 = "text2"});
    cli_stop_by_interrupt();
    for (uint32_t n; !j.ended && !cli_stopped() && (n = cli_records_next(&records)) > 0;) {
        if (cli_stopped()) break; /* its last record may be cut */
        run_portion(&j, records, n);
        cli_show_progress(j.n, " records", false);
    }
    cli_show_progress(j.n, " records", true);
    cli_records_close();
    if (j.index) cli_commit_output(j.index);
    cli_npy_close();
    return finish(&j);
}
