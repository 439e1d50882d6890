/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the bench, as a table for people, as Markdown, as CSV, or as JSON Lines with every
 * sample. A row is put together once, as cells; the first three formats are three ways to write
 * cells. */
#include <stdarg.h>
#include <string.h>

#include "bench.h"
#include "output.h"

enum { MAX_CELLS = 40, CELL_BYTES = 200 };

typedef struct cell {
    const char *head;
    int width;
    char text[CELL_BYTES];
} cell;
typedef struct sheet {
    uint32_t n;
    cell cells[MAX_CELLS];
} sheet;

static CLI_PRINTF(4, 5) void add(sheet *s, const char *head, int width, const char *format, ...)
{
    if (s->n == MAX_CELLS) return;
    cell *c = &s->cells[s->n++];
    va_list arguments;
    c->head = head;
    c->width = width > (int)strlen(head) ? width : (int)strlen(head);
    va_start(arguments, format);
    vsnprintf(c->text, sizeof c->text, format, arguments);
    va_end(arguments);
    /* a model's name is its file's: it must not break a line or reach the terminal */
    for (char *at = c->text; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7F) *at = ' ';
}

/* Of all sessions together. */
static double tokens_per_s(const bench_row *row)
{
    return (double)row->plan->sessions * row->shape->n_tokens / row->run.median * 1e3;
}

/* The file's name without folders: models made of one another may have one name. */
static const char *name_of(const bench_row *row)
{
    const char *slash = strrchr(row->path, '/');
    return slash ? slash + 1 : row->path;
}

static void add_environment(sheet *s)
{
    const sqz_context *context = cli_context();
    bench_environment environment;
    bench_read_environment(&environment);
    add(s, "version", 0, "%s", sqz_version_text());
    add(s, "cpu", 0, "%s", bench_fact(context, "cpu"));
    add(s, "features", 0, "%s", bench_fact(context, "features used"));
    add(s, "kernel_f32", 0, "%s", bench_fact(context, "kernel f32"));
    add(s, "kernel_bf16", 0, "%s", bench_fact(context, "kernel bf16"));
    add(s, "kernel_s8", 0, "%s", bench_fact(context, "kernel s8"));
    add(s, "kernel_attention", 0, "%s", bench_fact(context, "kernel attention"));
    add(s, "kernel_rows", 0, "%s", bench_fact(context, "kernel rows"));
    add(s, "affinity", 0, "%s", environment.affinity);
    add(s, "quota", 0, "%s", environment.quota);
    add(s, "governor", 0, "%s", environment.governor);
}

static void put_together(const bench_row *row, bool exact, sheet *s)
{
    const int places = exact ? 6 : 3;
    const bench_times *run = &row->run;
    s->n = 0;
    add(s, "model", 32, "%s", name_of(row));
    add(s, "type", 4, "%s", row->type);
    add(s, "MB", 7, "%.1f", (double)row->info->file_bytes / 1e6);
    add(s, "batch", 5, "%u", row->shape->n);
    add(s, "length", 6, "%s", row->shape->text);
    add(s, "tokens", 6, "%u", row->shape->n_tokens);
    add(s, "threads", 7, "%u", row->n_threads);
    add(s, "sessions", 8, "%u", row->plan->sessions);
    add(s, "median ms", 10, "%.*f", places, run->median);
    add(s, "10-90 %", 17, "%.*f-%.*f", places, run->p10, places, run->p90);
    add(s, "mean ms", 10, "%.*f", places, run->mean);
    add(s, "+- ms", 8, "%.*f", places, run->deviation);
    add(s, "min ms", 10, "%.*f", places, run->min);
    add(s, "tokens/s", 9, "%.0f", tokens_per_s(row));
    if (row->plan->stages) {
        add(s, "tokenize ms", 0, "%.*f", places, row->tokenize.median);
        add(s, "encode ms", 0, "%.*f", places, row->encode.median);
        add(s, "head ms", 0, "%.*f", places, row->head.median);
        add(s, "text to end ms", 0, "%.*f", places, row->whole.median);
    }
    if (row->plan->roofline) {
        add(s, "GOP/s", 8, "%.1f", bench_giga_operations(row) / run->median * 1e3);
        add(s, "of peak", 8, "%.1f %%", 100 * bench_share_of_peak(row));
    }
}

static void write_cells(const sheet *s, bool heads, const char *before, const char *between,
                        const char *after)
{
    for (uint32_t i = 0; i < s->n; i++) {
        const cell *c = &s->cells[i];
        printf("%s", i ? between : before);
        if (*before) printf("%s", heads ? c->head : c->text);
        else printf(i < 2 ? "%-*s" : "%*s", c->width, heads ? c->head : c->text);
    }
    printf("%s\n", after);
}

/* Fields of CSV: in quotes where one holds a comma or a quote, which is doubled. */
static void write_csv(const sheet *s, bool heads)
{
    for (uint32_t i = 0; i < s->n; i++) {
        const char *text = heads ? s->cells[i].head : s->cells[i].text;
        const bool quoted = strpbrk(text, ",\"") != NULL;
        printf("%s%s", i ? "," : "", quoted ? "\"" : "");
        for (; *text; text++) printf(*text == '"' ? "\"\"" : "%c", *text);
        if (quoted) putchar('"');
    }
    putchar('\n');
}

/* What holds for all rows, once. */
static void write_environment(bench_format format)
{
    static bool written;
    sheet s = {0};
    if (written) return;
    written = true;
    add_environment(&s);
    for (uint32_t i = 0; i < s.n; i++)
        printf("%s%s: %s\n", format == BENCH_MARKDOWN ? "- " : "", s.cells[i].head,
               s.cells[i].text);
    putchar('\n');
}

static void write_sheet(const bench_row *row, bench_format format)
{
    static bool head_written;
    const bool stages_follow = row->plan->profile || row->plan->roofline;
    static sheet s;
    if (format != BENCH_CSV) write_environment(format);
    put_together(row, format == BENCH_CSV, &s);
    const char *before = format == BENCH_MARKDOWN ? "| " : "",
               *between = format == BENCH_MARKDOWN ? " | " : "  ",
               *after = format == BENCH_MARKDOWN ? " |" : "";
    if (format == BENCH_CSV) {
        add_environment(&s);
        if (!head_written) write_csv(&s, true);
        write_csv(&s, false);
    } else {
        if (!head_written || stages_follow) write_cells(&s, true, before, between, after);
        if (format == BENCH_MARKDOWN && (!head_written || stages_follow))
            for (uint32_t i = 0; i < s.n; i++) printf("|---%s", i + 1 == s.n ? "|\n" : "");
        write_cells(&s, false, before, between, after);
    }
    head_written = true;
    if (stages_follow && format != BENCH_CSV) bench_report_stages(row, format);
}

static void json_times(const bench_times *times, uint32_t n)
{
    cli_json_key_double("median_ms", times->median);
    cli_json_key_double("mean_ms", times->mean);
    cli_json_key_double("stddev_ms", times->deviation);
    cli_json_key_double("min_ms", times->min);
    cli_json_key_double("p10_ms", times->p10);
    cli_json_key_double("p90_ms", times->p90);
    cli_json_key("samples_ms");
    cli_json_open('[');
    for (uint32_t i = 0; i < n; i++) cli_json_double(times->ms[i]);
    cli_json_close(']');
}

static void json_parts(const bench_row *row)
{
    const struct {
        const char *name;
        const bench_times *times;
    } parts[] = {{"tokenize", &row->tokenize},
                 {"encode", &row->encode},
                 {"head", &row->head},
                 {"end_to_end", &row->whole}};
    cli_json_key("parts");
    cli_json_open('{');
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        cli_json_key(parts[i].name);
        cli_json_open('{');
        json_times(parts[i].times, row->plan->samples);
        cli_json_close('}');
    }
    cli_json_close('}');
}

static void json_environment(void)
{
    sheet s = {0};
    add_environment(&s);
    cli_json_key("environment");
    cli_json_open('{');
    for (uint32_t i = 0; i < s.n; i++) cli_json_key_string(s.cells[i].head, s.cells[i].text);
    cli_json_key_number("cpus", sqz_cpu_count());
    cli_json_close('}');
}

static void write_json(const bench_row *row)
{
    cli_json_open('{');
    cli_json_key_string("model", name_of(row));
    cli_json_key_string("file", row->path);
    cli_json_key_string("type", row->type);
    cli_json_key_number("model_bytes", row->info->file_bytes);
    cli_json_key_number("batch", row->shape->n);
    cli_json_key("length");
    if (row->shape->uniform) cli_json_number(row->shape->longest);
    else cli_json_string(row->shape->text);
    cli_json_key_number("tokens", row->shape->n_tokens);
    cli_json_key_number("threads", row->n_threads);
    cli_json_key_number("sessions", row->plan->sessions);
    cli_json_key_number("samples", row->plan->samples);
    cli_json_key_number("warm_up", row->plan->warm_up);
    cli_json_key_double("tokens_per_s", tokens_per_s(row));
    json_times(&row->run, row->plan->sessions * row->plan->samples);
    if (row->plan->stages) json_parts(row);
    if (row->plan->profile || row->plan->roofline) bench_json_stages(row);
    json_environment();
    cli_json_close('}');
}

void bench_report(const bench_row *row, bench_format format)
{
    if (format == BENCH_JSON) write_json(row);
    else write_sheet(row, format);
    cli_flush_output();
}
