/* SPDX-License-Identifier: Apache-2.0 */
/* The record loop. Only records that could be read reach the task, so results are matched to
 * records by counting. */
#define _POSIX_C_SOURCE 200809L
#include "stream.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "output.h"

/* Progress is written at most so often. */
enum { TERMINAL_MS = 250, LOG_MS = 5000 };

typedef struct loop {
    const cli_stream *stream;
    sqz_input *inputs;
    char *results;
    uint64_t n, n_failed, n_cut;
} loop;

void cli_say_cut(uint64_t n_cut, uint64_t n, const char *what)
{
    if (n_cut)
        cli_say("%llu of %llu %s were cut to the maximal length", (unsigned long long)n_cut,
                (unsigned long long)n, what);
}

void cli_say_scores_dropped(const char *from, const char *out)
{
    cli_say("%s: its temperature and threshold were found with its logits, and are left out: "
            "`squeezebert build DATA --keep-head --base %s` finds new ones, on rows that were held "
            "out",
            from, out);
}

uint32_t cli_offset(uint32_t code_points, uint32_t bytes)
{
    return cli.bytes ? bytes : code_points;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A terminal's counter is gone when all is done; a log that has lines of it ends with the last. */
void cli_show_progress(uint64_t done, const char *of, bool last)
{
    static int64_t shown_ms;
    static uint64_t logged;
    const bool terminal = isatty(STDERR_FILENO) != 0;
    if (cli.progress == 1) return;
    const int64_t now = now_ms();
    if (!shown_ms) shown_ms = now - (terminal ? TERMINAL_MS : 0);
    if (last) cli_clear_counter();
    if (last ? !logged || logged == done : now - shown_ms < (terminal ? TERMINAL_MS : LOG_MS))
        return;
    cli_clear_counter();
    fprintf(stderr, terminal ? "%llu%s" : "%llu%s\n", (unsigned long long)done, of);
    cli_counter_shown = terminal;
    if (!terminal) logged = done;
    shown_ms = now;
}

int cli_show_share(void *what, size_t done, size_t total)
{
    char of[64];
    snprintf(of, sizeof of, " of %zu %s", total, (const char *)what);
    cli_show_progress(done, of, done == total);
    return 0;
}

/* None where results go to the same terminal. */
static void show_records(const loop *l, bool last)
{
    if (!isatty(STDERR_FILENO) || !isatty(STDOUT_FILENO)) cli_show_progress(l->n, " records", last);
}

/* Is this the name of a key of the result? */
static bool is_taken(const loop *l, sqz_text name)
{
    char word[64];
    if (name.n_bytes > sizeof word - 3 || memchr(name.bytes, ' ', name.n_bytes)) return false;
    snprintf(word, sizeof word, " %.*s ", (int)name.n_bytes, name.bytes);
    return strstr(l->stream->keys, word) || strstr(" error code truncated ", word);
}

/* Passed fields; one that has the name of a result's key becomes input_NAME. */
static void show_fields(const loop *l, const cli_record *record)
{
    static const char prefix[] = "input_";
    for (uint32_t f = 0; f < record->n_fields; f++) {
        const sqz_field *field = &record->fields[f];
        const sqz_text name = field->json ? field->json_name : field->name;
        const size_t n = is_taken(l, field->name) ? sizeof prefix - 1 : 0;
        char *key = cli_allocate(NULL, n + name.n_bytes);
        memcpy(key, prefix, n);
        if (name.n_bytes) memcpy(key + n, name.bytes, name.n_bytes);
        if (field->json) cli_json_key_raw(key, n + name.n_bytes);
        else cli_json_key_text(key, n + name.n_bytes);
        if (field->json) cli_json_raw(field->value.bytes, field->value.n_bytes);
        else cli_json_text(field->value.bytes, field->value.n_bytes);
        free(key);
    }
}

static void show_fault(loop *l, const cli_record *record, sqz_status status, const char *text)
{
    l->n_failed++;
    char placed[600];
    snprintf(placed, sizeof placed, "stdin: line %llu: %s", (unsigned long long)record->line, text);
    if (cli.strict) {
        cli_flush_output();
        cli_die(CLI_FAILED, "%s", placed);
    }
    if (!cli.json) {
        fprintf(cli_out(), "error: ");
        cli_print_text(placed, strlen(placed));
        putc('\n', cli_out());
        return;
    }
    cli_json_open('{');
    show_fields(l, record);
    cli_json_key_string("error", placed);
    cli_json_key_string("code", sqz_status_name(status));
    cli_json_close('}');
}

static void show_result(loop *l, const cli_record *record, const void *result)
{
    const sqz_outcome *outcome = result;
    l->n_cut += outcome->cut > 0;
    if (!cli.json) {
        l->stream->show_text(&record->input, result);
        putc('\n', cli_out());
        return;
    }
    cli_json_open('{');
    show_fields(l, record);
    l->stream->show_json(&record->input, result);
    if (outcome->cut) {
        cli_json_key("truncated");
        cli_json_bool(true);
    }
    cli_json_close('}');
}

static void show_portion(loop *l, const cli_record *records, uint32_t n)
{
    const char *result = l->results;
    for (uint32_t r = 0; r < n; r++) {
        l->n++;
        if (records[r].status != SQZ_OK) {
            show_fault(l, &records[r], records[r].status, records[r].fault);
            continue;
        }
        const sqz_outcome *outcome = (const void *)result;
        if (outcome->status != SQZ_OK) show_fault(l, &records[r], outcome->status, outcome->text);
        else show_result(l, &records[r], result);
        result += l->stream->result_bytes;
    }
}

static void run_portion(loop *l, const cli_record *records, uint32_t n)
{
    uint32_t good = 0;
    sqz_error error = {0};
    l->inputs = cli_allocate(l->inputs, n * sizeof *l->inputs);
    l->results = cli_allocate(l->results, n * l->stream->result_bytes);
    for (uint32_t r = 0; r < n; r++)
        if (records[r].status == SQZ_OK) l->inputs[good++] = records[r].input;
    if (good) cli_check(l->stream->run(l->inputs, good, l->results, &error), &error);
    show_portion(l, records, n);
    cli_flush_output();
}

int cli_run_stream(const cli_stream *stream)
{
    loop l = {.stream = stream};
    cli_record *records;
    (void)cli_model(stream->model);
    cli_records_open(stream->reading);
    for (uint32_t n; (n = cli_records_next(&records)) > 0;) {
        run_portion(&l, records, n);
        show_records(&l, false);
    }
    show_records(&l, true);
    cli_records_close();
    free(l.inputs);
    free(l.results);
    cli_say_cut(l.n_cut, l.n, "texts");
    if (l.n_failed)
        cli_say("%llu of %llu records failed", (unsigned long long)l.n_failed,
                (unsigned long long)l.n);
    return l.n_failed ? CLI_FAILED : CLI_DONE;
}
