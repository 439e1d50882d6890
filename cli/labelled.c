/* SPDX-License-Identifier: Apache-2.0 */
/* Options that name the columns of labelled data, and figures in both forms. */
#include "labelled.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "output.h"
#include "records.h"

cli_labelled cli_columns;

const cli_option cli_labelled_options[] = {
    {"input", 0, CLI_CHOICE, &cli_columns.input, "auto|csv|tsv|jsonl|conll|clinc",
     "how the data is laid out (auto: by the end of its name; .json is CLINC's)"},
    {"text", 0, CLI_TEXT, &cli_columns.text, "COLUMN", "the column of the text (default: text)"},
    {"text2", 0, CLI_TEXT, &cli_columns.text2, "COLUMN", "the column of a second text"},
    {"label", 0, CLI_TEXT, &cli_columns.label, "COLUMN",
     "the column of the label (default: label)"},
    {"separator", 0, CLI_TEXT, &cli_columns.separator, "TEXT",
     "between several labels in one cell (default: |); jsonl may have arrays"},
    {"quotes", 0, CLI_CHOICE, &cli.quotes, "auto|none|csv",
     "what \" means in a table. auto: csv by RFC 4180; in a tsv nothing where GLUE published it, "
     "else a cell wholly in quotes loses them; none: nothing; csv: RFC 4180 in tsv too"},
    {0},
};

void cli_refuse_columns(const char *why)
{
    const char *given = cli_columns.input       ? "--input"
                        : cli_columns.text      ? "--text"
                        : cli_columns.text2     ? "--text2"
                        : cli_columns.label     ? "--label"
                        : cli_columns.separator ? "--separator"
                                                : NULL;
    if (given) cli_die(CLI_USAGE, "%s does not go with %s", given, why);
}

static ptrdiff_t read_stdin(void *user, void *bytes, size_t n)
{
    ssize_t got;
    (void)user;
    do got = read(STDIN_FILENO, bytes, n);
    while (got < 0 && errno == EINTR);
    return got;
}

bool cli_is_clinc(const char *path)
{
    return cli_columns.input == SQZ_DATA_CLINC ||
           (!cli_columns.input && path && sqz_data_format_of(path) == SQZ_DATA_CLINC);
}

void cli_say_left_out(const sqz_dataset *dataset)
{
    const char *name = sqz_dataset_name(dataset);
    const unsigned long long blank = sqz_dataset_blank(dataset),
                             skipped = sqz_dataset_skipped(dataset);
    if (blank) cli_say("%llu blank line%s of %s skipped", blank, blank == 1 ? "" : "s", name);
    if (skipped)
        cli_say("%llu row%s of %s skipped: too short, or no gold label", skipped,
                skipped == 1 ? "" : "s", name);
    cli_say_ill_formed(sqz_dataset_ill_formed(dataset), name);
}

sqz_dataset *cli_open_data(const cli_data *data)
{
    static const sqz_rows_source source = {.name = "stdin", .read = read_stdin};
    sqz_error error = {0};
    sqz_dataset *dataset = NULL;
    const sqz_dataset_options o = {.format = (sqz_data_format)cli_columns.input,
                                   .kind = data->kind,
                                   .quotes = (sqz_quotes)cli.quotes,
                                   .text = cli_columns.text,
                                   .text2 = cli_columns.text2,
                                   .label = cli_columns.label,
                                   .source = data->source,
                                   .separator = cli_columns.separator,
                                   .split = data->split,
                                   .negatives = data->negatives,
                                   .n_negatives = data->n_negatives,
                                   .classes = data->classes,
                                   .n_classes = data->n_classes};
    if (!o.format && (!data->path || sqz_data_format_of(data->path) == SQZ_DATA_AUTO))
        cli_die(CLI_USAGE, "%s: say with --input how it is laid out: csv, tsv, jsonl, conll, clinc",
                data->path ? data->path : "stdin");
    cli_check(data->path ? sqz_dataset_open(cli_context(), data->path, &o, &dataset, &error)
                         : sqz_dataset_open_source(cli_context(), &source, &o, &dataset, &error),
              &error);
    cli_say_left_out(dataset);
    return dataset;
}

void cli_json_figures(const sqz_figure *figures, uint32_t n)
{
    cli_json_key("metrics");
    cli_json_open('{');
    for (uint32_t f = 0; f < n; f++) {
        cli_json_key(figures[f].name);
        if (figures[f].metric.reason) cli_json_null();
        else cli_json_double(figures[f].metric.value);
    }
    cli_json_close('}');
    cli_json_key("intervals");
    cli_json_open('{');
    for (uint32_t f = 0; f < n; f++) {
        if (!figures[f].has_interval) continue;
        cli_json_key(figures[f].name);
        cli_json_open('[');
        cli_json_double(figures[f].low);
        cli_json_double(figures[f].high);
        cli_json_close(']');
    }
    cli_json_close('}');
}

void cli_print_figures(const sqz_figure *figures, uint32_t n)
{
    for (uint32_t f = 0; f < n; f++) {
        if (figures[f].metric.reason) {
            printf("  %-10s none: %s\n", figures[f].name, figures[f].metric.reason);
            continue;
        }
        printf("  %-10s %.6f", figures[f].name, figures[f].metric.value);
        if (figures[f].has_interval) printf("  (%.6f to %.6f)", figures[f].low, figures[f].high);
        putchar('\n');
    }
}
