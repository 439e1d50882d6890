/* SPDX-License-Identifier: Apache-2.0 */
/* bench: how long a batch of ids takes, from memory to logits (hidden states where there is no head). */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "output.h"
#include "verbs.h"

static const char *batches = "1", *lengths = "128", *threads = "1", *lengths_file;
static uint32_t samples = 30, warm_up = 3;
static bool raw;

static const cli_option options[] = {
    {"batch", 'b', CLI_TEXT, &batches, "N,...", "sequences a run (default: 1)"},
    {"length", 'l', CLI_TEXT, &lengths, "N,...", "pieces a sequence (default: 128)"},
    {"threads", 't', CLI_TEXT, &threads, "N,...", "threads (default: 1)"},
    {"lengths", 0, CLI_TEXT, &lengths_file, "FILE", "one batch with these lengths, one a line"},
    {"samples", 'n', CLI_NUMBER, &samples, "N", "timed runs (default: 30)"},
    {"warm-up", 0, CLI_NUMBER, &warm_up, "N", "runs before them (default: 3)"},
    {"raw", 0, CLI_FLAG, &raw, NULL, "with --json: every sample as well"},
    {"json", 'j', CLI_FLAG, &cli.json, NULL, "write JSON, one object a line"},
    {"cpu", 0, CLI_TEXT, &cli.cpu, "LIST", "CPU features to use (see doctor)"},
    {0},
};

enum { MOST = 4096 };

typedef struct shape {
    uint32_t n, lengths[MOST];
    const char *text;
} shape;

static uint32_t read_list(const char *text, const char *option, uint32_t *values, uint32_t room)
{
    uint32_t n = 0;
    for (const char *at = text; at && n < room; n++) {
        char *end;
        const unsigned long value = strtoul(at, &end, 10);
        if (end == at || (*end && *end != ',') || value < 1 || value > 1 << 20) cli_die(CLI_USAGE, "%s takes numbers from 1 on with commas between them, not '%s'", option, text);
        values[n] = (uint32_t)value;
        at = *end ? end + 1 : NULL;
    }
    return n;
}

static void read_lengths(shape *s)
{
    char line[64];
    FILE *file = fopen(lengths_file, "r");
    if (!file) cli_die(CLI_BAD_FILE, "cannot open %s", lengths_file);
    for (s->n = 0; s->n < MOST && fgets(line, sizeof line, file);) {
        const unsigned long value = strtoul(line, NULL, 10);
        if (value < 1 || value > 1 << 20) cli_die(CLI_BAD_FILE, "%s, line %u: '%s' is no length", lengths_file, s->n + 1, line);
        s->lengths[s->n++] = (uint32_t)value;
    }
    fclose(file);
    if (!s->n) cli_die(CLI_BAD_FILE, "%s holds no length", lengths_file);
}

static double now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void show(const sqz_model *model, const shape *s, uint32_t n_threads, uint32_t n_tokens, const double *times)
{
    double *sorted = cli_allocate(NULL, samples * sizeof *sorted);
    memcpy(sorted, times, samples * sizeof *sorted);
    qsort(sorted, samples, sizeof *sorted, by_size);
    const double median = (sorted[samples / 2] + sorted[(samples - 1) / 2]) / 2, p10 = sorted[samples / 10], p90 = sorted[samples - 1 - samples / 10];
    if (!cli.json) {
        printf("%-24s %4u x %-8s %2u threads  median %9.3f ms  [%.3f, %.3f]  min %9.3f  %10.0f tokens/s\n", sqz_model_get_info(model)->name, s->n, s->text, n_threads, median, p10, p90, sorted[0],
               (double)n_tokens / median * 1e3);
        free(sorted);
        return;
    }
    cli_json_open('{');
    cli_json_key("batch");
    cli_json_number(s->n);
    cli_json_key("length");
    cli_json_string(s->text);
    cli_json_key("tokens");
    cli_json_number(n_tokens);
    cli_json_key("threads");
    cli_json_number(n_threads);
    cli_json_key("samples");
    cli_json_number(samples);
    cli_json_key("median_ms");
    cli_json_double(median);
    cli_json_key("min_ms");
    cli_json_double(sorted[0]);
    cli_json_key("p10_ms");
    cli_json_double(p10);
    cli_json_key("p90_ms");
    cli_json_double(p90);
    cli_json_key("tokens_per_s");
    cli_json_double((double)n_tokens / median * 1e3);
    if (raw) {
        cli_json_key("samples_ms");
        cli_json_open('[');
        for (uint32_t i = 0; i < samples; i++) cli_json_double(times[i]);
        cli_json_close(']');
    }
    cli_json_close('}');
    cli_flush_output();
    free(sorted);
}

static void time_shape(const sqz_model *model, const shape *s, uint32_t n_threads)
{
    const sqz_model_info *info = sqz_model_get_info(model);
    sqz_error error = {0};
    sqz_session *session;
    uint32_t *first = cli_allocate(NULL, (s->n + 1) * sizeof *first), longest = 0;
    first[0] = 0;
    for (uint32_t b = 0; b < s->n; b++) {
        first[b + 1] = first[b] + s->lengths[b];
        if (s->lengths[b] > longest) longest = s->lengths[b];
    }
    const uint32_t n_tokens = first[s->n], columns = info->head == SQZ_HEAD_NONE ? info->width : info->n_labels;
    const bool masked = info->head == SQZ_HEAD_MASKED_LM;
    cli_check(sqz_session_open(model, &(sqz_session_options){n_tokens, s->n, longest}, &session, &error), &error);
    uint32_t *ids = cli_allocate(NULL, n_tokens * sizeof *ids);
    float *out = cli_allocate(NULL, (size_t)(masked ? s->n : n_tokens) * columns * sizeof *out);
    double *times = cli_allocate(NULL, samples * sizeof *times);
    const sqz_batch batch = {s->n, first, ids, NULL};
    uint64_t state = 1;
    for (uint32_t i = 0; i < warm_up + samples; i++) {
        for (uint32_t t = 0; t < n_tokens; t++) { /* other ids each time: nothing to remember */
            state = state * 6364136223846793005u + 1442695040888963407u;
            ids[t] = (uint32_t)(state >> 33) % info->vocabulary;
        }
        const double begin = now_ms();
        if (info->head == SQZ_HEAD_NONE) cli_check(sqz_encode(session, &batch, out, columns, &error), &error);
        else cli_check(sqz_logits(session, &batch, masked ? first : NULL, masked ? s->n : 0, out, columns, &error), &error);
        if (i >= warm_up) times[i - warm_up] = now_ms() - begin;
    }
    show(model, s, n_threads, n_tokens, times);
    sqz_session_close(session);
    free(first);
    free(ids);
    free(out);
    free(times);
}

static int run(char **arguments, uint32_t n)
{
    (void)n;
    uint32_t b[64], l[64], t[64];
    const uint32_t n_b = read_list(batches, "--batch", b, 64), n_l = read_list(lengths, "--length", l, 64), n_t = read_list(threads, "--threads", t, 64);
    if (samples < 1 || samples > 1000000) cli_die(CLI_USAGE, "--samples is 1 to 1000000");
    shape *s = cli_allocate(NULL, sizeof *s);
    for (uint32_t i = 0; i < n_t; i++) {
        cli.threads = t[i];
        const sqz_model *model = cli_model(arguments[0]);
        const uint32_t n_threads = sqz_context_threads(cli_context());
        s->text = "mixed";
        if (lengths_file) read_lengths(s);
        if (lengths_file) time_shape(model, s, n_threads);
        for (uint32_t j = 0; j < n_b && !lengths_file; j++)
            for (uint32_t k = 0; k < n_l; k++) {
                char text[16];
                if (b[j] > MOST) cli_die(CLI_USAGE, "--batch is at most %d", MOST);
                snprintf(text, sizeof text, "%u", l[k]);
                s->n = b[j];
                s->text = text;
                for (uint32_t q = 0; q < b[j]; q++) s->lengths[q] = l[k];
                time_shape(model, s, n_threads);
            }
        cli_close(); /* a context has its threads for life */
    }
    free(s);
    return CLI_DONE;
}

static const cli_option *const tables[] = {options, NULL};
const cli_verb cli_verb_bench = {"bench", "time a model", "MODEL", "Ids in memory to logits; tokenising is not in it. One row a shape and number of threads.", "squeezebert bench minilm.gguf -b 1,8 -l 16,128 -t 1,2", 1, 1, tables, run};
