/* SPDX-License-Identifier: Apache-2.0 */
/* bench: how long batches of ids take, from memory to logits (hidden states where there is no
 * head), over every combination of the lists given. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "verbs.h"

static const char *batches, *lengths, *threads = "1", *lengths_file, *types;
static uint32_t format;
static bench_plan plan = {.samples = 30, .warm_up = 3, .sessions = 1};

static const cli_option options[] = {
    {"batch", 'b', CLI_TEXT, &batches, "LIST", "sequences a run (default: 1)"},
    {"length", 'l', CLI_TEXT, &lengths, "LIST", "pieces a sequence (default: 128)"},
    {"threads", 't', CLI_TEXT, &threads, "LIST", "threads (default: 1)"},
    {"lengths", 0, CLI_TEXT, &lengths_file, "FILE",
     "one batch with these lengths, one a line, instead of --batch and --length"},
    {"type", 0, CLI_TEXT, &types, "LIST",
     "f32, bf16, f16, s8: each model in these types, converted where it is another (default: as it "
     "is)"},
    {"samples", 'n', CLI_NUMBER, &plan.samples, "N", "timed runs (default: 30)"},
    {"warm-up", 0, CLI_NUMBER, &plan.warm_up, "N", "runs before them (default: 3)"},
    {"sessions", 0, CLI_NUMBER, &plan.sessions, "N",
     "sessions that run at once, each in a thread of its own besides --threads (default: 1)"},
    {"stages", 0, CLI_FLAG, &plan.stages, NULL,
     "also: text to ids, ids to hidden states, hidden states to logits, text to logits"},
    {"text", 0, CLI_TEXT, &plan.text_path, "FILE",
     "with --stages: where texts come from (default: words of the vocabulary)"},
    {"profile", 0, CLI_FLAG, &plan.profile, NULL, "also: where the time goes, by kind of layer"},
    {"roofline", 0, CLI_FLAG, &plan.roofline, NULL,
     "also: what this machine can do at most, and the share of it that is reached"},
    {"format", 0, CLI_CHOICE, &format, "table|markdown|csv|json",
     "how rows are written (json: every sample as well)"},
    {"json", 'j', CLI_FLAG, &cli.json, NULL, "the same as --format json"},
    {"cpu", 0, CLI_TEXT, &cli.cpu, "LIST", "CPU features to use (see doctor)"},
    {0},
};

enum { MAX_SEQUENCES = 4096, MAX_SESSIONS = 256, MAX_LIST = 256, LARGEST = 1 << 20 };

typedef struct list {
    uint32_t n, values[MAX_LIST];
} list;

static uint32_t read_value(const char **at, const char *text, const char *option)
{
    char *end;
    const unsigned long value = strtoul(*at, &end, 10);
    if (end == *at || **at < '0' || **at > '9' || value < 1 || value > LARGEST)
        cli_die(CLI_USAGE,
                "%s takes numbers of 1 to %d and ranges such as 16-128+16 or 16-128*2, with commas "
                "between them, not '%s'",
                option, LARGEST, text);
    *at = end;
    return (uint32_t)value;
}

/* "8", "1-4", "16-128+16" or "16-128*2". */
static void read_range(const char **at, const char *text, const char *option, list *l)
{
    const uint32_t first = read_value(at, text, option);
    uint32_t last = first, step = 1;
    bool times = false;
    if (**at == '-') {
        ++*at;
        last = read_value(at, text, option);
        if (**at == '+' || **at == '*') {
            times = **at == '*';
            ++*at;
            step = read_value(at, text, option);
        }
    }
    if (last < first || (times && step < 2))
        cli_die(CLI_USAGE, "%s: '%s' holds a range that does not rise", option, text);
    for (uint64_t value = first; value <= last; value = times ? value * step : value + step) {
        if (l->n == MAX_LIST)
            cli_die(CLI_USAGE, "%s: '%s' holds more than %d numbers", option, text, MAX_LIST);
        l->values[l->n++] = (uint32_t)value;
    }
}

static list read_list(const char *text, const char *option)
{
    list l = {0};
    for (const char *at = text;; at++) {
        read_range(&at, text, option, &l);
        if (!*at) return l;
        if (*at != ',')
            cli_die(CLI_USAGE, "%s: '%s' has '%c' where a comma belongs", option, text, *at);
    }
}

static void finish_shape(bench_shape *shape, const uint32_t *values, uint32_t n, const char *text)
{
    *shape = (bench_shape){.n = n, .lengths = values, .uniform = !lengths_file, .text = text};
    for (uint32_t b = 0; b < n; b++) {
        shape->n_tokens += values[b];
        if (values[b] > shape->longest) shape->longest = values[b];
    }
}

static uint32_t read_lengths(uint32_t *values)
{
    char line[64];
    uint32_t n = 0;
    FILE *file = fopen(lengths_file, "r");
    if (!file) cli_die(CLI_BAD_FILE, "cannot open %s", lengths_file);
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\r\n")] = '\0';
        char *end;
        const unsigned long value = strtoul(line, &end, 10);
        if (*end || value < 1 || value > LARGEST)
            cli_die(CLI_BAD_FILE, "%s, line %u: '%s' is no length; one number of 1 to %d a line",
                    lengths_file, n + 1, line, LARGEST);
        if (n == MAX_SEQUENCES)
            cli_die(CLI_BAD_FILE, "%s holds more than %d lengths", lengths_file, MAX_SEQUENCES);
        values[n++] = (uint32_t)value;
    }
    fclose(file);
    if (!n) cli_die(CLI_BAD_FILE, "%s holds no length", lengths_file);
    return n;
}

/* The shapes of the lists, or the one of the file. */
typedef struct shapes {
    list batch, length;
    uint32_t n_mixed, *values; /* [MAX_SEQUENCES] */
} shapes;

static void bench_shape_of(const sqz_model *model, const char *path, const bench_shape *shape,
                           bench_peak *peak)
{
    bench_row row = {.info = sqz_model_get_info(model),
                     .path = path,
                     .type = bench_type(model),
                     .shape = shape,
                     .plan = &plan,
                     .n_threads = sqz_context_threads(cli_context())};
    if (shape->longest > row.info->max_positions)
        cli_die(CLI_USAGE, "%s takes sequences of at most %u pieces, not %u", path,
                row.info->max_positions, shape->longest);
    bench_measure(model, &row);
    if (plan.roofline) {
        uint64_t bytes = 0;
        for (uint32_t s = 0; s < SQZ_STAGES; s++)
            bytes += row.profile.stages[s].weight_bytes / plan.samples;
        if (peak->memory_bytes == 0) bench_measure_peak(cli_context(), bytes, peak);
        row.peak = *peak;
    }
    bench_report(&row, (bench_format)format);
    bench_release(&row);
}

static void bench_model(const char *path, uint32_t n_threads, const shapes *s)
{
    bench_shape shape;
    bench_peak peak = {0};
    cli.threads = n_threads;
    const sqz_model *model = cli_model(path);
    if (s->n_mixed) {
        finish_shape(&shape, s->values, s->n_mixed, "mixed");
        bench_shape_of(model, path, &shape, &peak);
    }
    for (uint32_t b = 0; b < s->batch.n && !s->n_mixed; b++)
        for (uint32_t l = 0; l < s->length.n; l++) {
            char text[16];
            snprintf(text, sizeof text, "%u", s->length.values[l]);
            for (uint32_t i = 0; i < s->batch.values[b]; i++) s->values[i] = s->length.values[l];
            finish_shape(&shape, s->values, s->batch.values[b], text);
            bench_shape_of(model, path, &shape, &peak);
        }
    cli_close(); /* a context has its threads for life */
}

/* A model in each of the types, or as it is. */
static void bench_types(const char *path, const list *thread_counts, const shapes *s)
{
    char type[8];
    const char *at = types;
    do {
        const size_t n = at ? strcspn(at, ",") : 0;
        if (at && (n == 0 || n >= sizeof type))
            cli_die(CLI_USAGE,
                    "--type takes f32, bf16, f16 and s8 with commas between them, not '%s'", types);
        snprintf(type, sizeof type, "%.*s", (int)n, at ? at : "");
        const char *file = at ? bench_file_of_type(path, type) : path;
        for (uint32_t t = 0; t < thread_counts->n; t++)
            bench_model(file, thread_counts->values[t], s);
        bench_remove_file();
        at = at && at[n] ? at + n + 1 : NULL;
    } while (at);
}

static int run(char **arguments, uint32_t n)
{
    const list thread_counts = read_list(threads, "--threads");
    if (cli.json && format != BENCH_TABLE && format != BENCH_JSON)
        cli_die(CLI_USAGE, "--json is --format json: give one format");
    if (cli.json) format = BENCH_JSON;
    if (lengths_file && (batches || lengths))
        cli_die(CLI_USAGE, "--lengths names one batch: leave out --batch and --length");
    shapes s = {.batch = read_list(batches ? batches : "1", "--batch"),
                .length = read_list(lengths ? lengths : "128", "--length"),
                .values = cli_allocate(NULL, MAX_SEQUENCES * sizeof *s.values)};
    if (plan.samples < 1 || plan.samples > 1000000) cli_die(CLI_USAGE, "--samples is 1 to 1000000");
    if (plan.warm_up > 1000000) cli_die(CLI_USAGE, "--warm-up is at most 1000000");
    if (plan.sessions < 1 || plan.sessions > MAX_SESSIONS)
        cli_die(CLI_USAGE, "--sessions is 1 to %d", MAX_SESSIONS);
    if (plan.sessions > 1 && (plan.stages || plan.profile || plan.roofline))
        cli_die(CLI_USAGE,
                "--stages, --profile and --roofline look at one session: leave out --sessions");
    if (plan.text_path && !plan.stages) cli_die(CLI_USAGE, "--text needs --stages");
    if ((plan.profile || plan.roofline) && format == BENCH_CSV)
        cli_die(
            CLI_USAGE,
            "--profile and --roofline write a table a row: use --format table, markdown or json");
    for (uint32_t b = 0; b < s.batch.n; b++)
        if (s.batch.values[b] > MAX_SEQUENCES)
            cli_die(CLI_USAGE, "--batch is at most %d", MAX_SEQUENCES);
    if (lengths_file) s.n_mixed = read_lengths(s.values);
    for (uint32_t i = 0; i < n; i++) bench_types(arguments[i], &thread_counts, &s);
    free(s.values);
    return CLI_DONE;
}

enum { MAX_MODELS = 64 };
static const cli_option *const tables[] = {options, NULL};
const cli_verb cli_verb_bench = {
    "bench",
    "time models",
    "MODEL...",
    "Ids in memory to logits; the ids are random and others in every run. One row a model, shape "
    "and number of threads; lists combine. "
    "LIST is numbers and ranges with commas: 1,8 or 16-128+16 or 16-512*2.",
    "squeezebert bench minilm.gguf -b 1,8 -l 16-128*2 -t 1,2 --roofline",
    1,
    MAX_MODELS,
    tables,
    run};
