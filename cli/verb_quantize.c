/* SPDX-License-Identifier: Apache-2.0 */
/* quantize: a float model file to int8, int4, int3, bf16 or f16, with a table of what each tensor
 * becomes. */
#include <stdlib.h>
#include <string.h>

#include <squeezebert/squeeze.h>

#include "output.h"
#include "records.h"
#include "stream.h"
#include "verbs.h"

enum { CALIBRATION_BYTES = 16 << 20 }; /* of the texts' file that are read at most */

static const char *output_path, *keep, *calibrate, *calibrate_column;
static uint32_t type, calibrate_format;
static sqz_calibration calibration;
static bool dry_run, no_bias_correction;

static const cli_option options[] = {
    {"output", 'o', CLI_TEXT, &output_path, "FILE", "the model file to write; may be MODEL itself"},
    {"type", 0, CLI_CHOICE, &type, "s8|bf16|f16|s4|s3", "what weights become (default: s8)"},
    {"keep", 0, CLI_TEXT, &keep, "REGEX",
     "tensors whose name holds a match stay as they are (extended regular expression)"},
    {"calibrate", 0, CLI_TEXT, &calibrate, "FILE",
     "s8, s4, s3: choose the integers so that their errors cancel on the inputs that these texts "
     "bring, one text a line or a table (.csv, .tsv, .jsonl); the first 17 MB are read"},
    {"calibrate-input", 0, CLI_CHOICE, &calibrate_format, "auto|lines|csv|tsv|jsonl",
     "what that file holds (auto: as its name ends)"},
    {"calibrate-text", 0, CLI_TEXT, &calibrate_column, "COLUMN",
     "of a table: the column of the text (default: text)"},
    {"no-bias-correction", 0, CLI_FLAG, &no_bias_correction, NULL,
     "s8, s4, s3: leave biases as they are, instead of letting them take up what rounding does to "
     "the mean input of each layer"},
    {"progress", 0, CLI_CHOICE, &cli.progress, "auto|none", "with --calibrate: progress on stderr"},
    {"dry-run", 0, CLI_FLAG, &dry_run, NULL, "print the table, write nothing"},
    {0},
};

/* The table, shown when all went well. */
typedef struct row {
    sqz_quantized_tensor tensor;
    char name[64];
} row;
static row *rows;
static size_t n_rows, rows_capacity;

static void show_text(const sqz_quantized_tensor *t)
{
    char shape[96], becomes[32];
    size_t used = 0;
    for (uint32_t d = 0; d < t->n_dims; d++)
        used += (size_t)snprintf(shape + used, sizeof shape - used, "%s%llu", d ? "x" : "",
                                 (unsigned long long)t->shape[d]);
    snprintf(becomes, sizeof becomes, "%s%s%s", t->from,
             strcmp(t->from, t->to) ? " > "
             : t->kept              ? " kept"
             : t->corrected         ? " corrected"
                                    : "",
             strcmp(t->from, t->to) ? t->to : "");
    printf("%-40s %-14s %-13s", t->name, shape, becomes);
    if (t->error > 0) printf(" %9.2e", t->error);
    else printf(" %9s", "-");
    printf(" %11llu %11llu\n", (unsigned long long)t->bytes_before,
           (unsigned long long)t->bytes_after);
}

static void show_json(const sqz_quantized_tensor *t)
{
    cli_json_open('{');
    cli_json_key_string("name", t->name);
    cli_json_key("shape");
    cli_json_open('[');
    for (uint32_t d = 0; d < t->n_dims; d++) cli_json_number(t->shape[d]);
    cli_json_close(']');
    cli_json_key_string("from", t->from);
    cli_json_key_string("to", t->to);
    cli_json_key("kept");
    cli_json_bool(t->kept);
    cli_json_key("corrected");
    cli_json_bool(t->corrected);
    cli_json_key_double("error", t->error);
    cli_json_key_number("bytes_before", t->bytes_before);
    cli_json_key_number("bytes_after", t->bytes_after);
    cli_json_close('}');
}

static void take(void *user, const sqz_quantized_tensor *tensor)
{
    (void)user;
    if (n_rows == rows_capacity) {
        rows_capacity = rows_capacity ? 2 * rows_capacity : 256;
        rows = cli_allocate(rows, rows_capacity * sizeof *rows);
    }
    rows[n_rows].tensor = *tensor;
    snprintf(rows[n_rows].name, sizeof rows[n_rows].name, "%s", tensor->name);
    n_rows++;
}

static void show(void)
{
    uint64_t before = 0, after = 0;
    uint32_t n_changed = 0, n_kept = 0, n_corrected = 0;
    if (cli.json) {
        cli_json_open('{');
        cli_json_key("tensors");
        cli_json_open('[');
    } else {
        printf("%-40s %-14s %-13s %9s %11s %11s\n", "tensor", "shape", "type", "error", "bytes",
               "after");
    }
    for (size_t i = 0; i < n_rows; i++) {
        sqz_quantized_tensor *t = &rows[i].tensor;
        t->name = rows[i].name;
        before += t->bytes_before;
        after += t->bytes_after;
        n_changed += strcmp(t->from, t->to) != 0;
        n_kept += t->kept != 0;
        n_corrected += t->corrected != 0;
        if (cli.json) show_json(t);
        else show_text(t);
    }
    if (!cli.json) {
        if (calibration.n_texts)
            printf("calibrated on %u texts of %u pieces\n", calibration.n_texts,
                   calibration.n_pieces);
        printf("%u tensors change, %u are kept, %u biases are corrected: %.1f MB become %.1f MB\n",
               n_changed, n_kept, n_corrected, (double)before / 1e6, (double)after / 1e6);
        return;
    }
    cli_json_close(']');
    cli_json_key_number("bytes_before", before);
    cli_json_key_number("bytes_after", after);
    if (calibration.n_texts) {
        cli_json_key("calibration");
        cli_json_open('{');
        cli_json_key_number("texts", calibration.n_texts);
        cli_json_key_number("truncated", calibration.n_cut);
        cli_json_key_number("pieces", calibration.n_pieces);
        cli_json_close('}');
    }
    cli_json_close('}');
}

/* The texts to calibrate on, over one block of bytes. */
static sqz_text *read_texts(cli_texts *read)
{
    sqz_rows *file = cli_open_rows(calibrate, calibrate_format,
                                   calibrate_column ? calibrate_column : "text",
                                   "--calibrate-text names a column, --calibrate-input says what "
                                   "the file holds");
    if (calibrate_column && sqz_rows_kind(file) == SQZ_ROWS_LINES)
        cli_die(CLI_USAGE,
                "--calibrate-text names a column: say --calibrate-input csv, tsv or jsonl");
    *read = cli_read_texts(file, CALIBRATION_BYTES);
    cli_say_more(file, read);
    cli_say_lines(file);
    sqz_rows_close(file);
    sqz_text *texts = cli_allocate(NULL, read->n * sizeof *texts);
    for (size_t i = 0, begin = 0; i < read->n; begin = read->ends[i++] + 1)
        texts[i] = (sqz_text){read->bytes + begin, read->ends[i] - begin};
    return texts;
}

static void take_calibrated(void *user, const sqz_calibration *used)
{
    (void)user;
    calibration = *used;
}

static int run(char **arguments, uint32_t n)
{
    (void)n;
    sqz_error error = {0};
    if (!output_path && !dry_run)
        cli_die(CLI_USAGE, "-o FILE is missing: where should the model file go? (--dry-run prints "
                           "the table alone)");
    if (calibrate && (type == SQZ_QUANTIZE_BF16 || type == SQZ_QUANTIZE_F16))
        cli_die(CLI_USAGE,
                "--calibrate is for --type s8, s4 and s3: bf16 and f16 round every weight for "
                "itself");
    if (cli.progress && !calibrate)
        cli_die(CLI_USAGE,
                "--progress is for --calibrate: nothing else takes long enough to show any");
    if (calibrate && no_bias_correction)
        cli_die(
            CLI_USAGE,
            "--calibrate corrects biases, --no-bias-correction forbids it: leave one of them out");
    if (!calibrate && (calibrate_format || calibrate_column))
        cli_die(CLI_USAGE, "--calibrate FILE is missing: its options are given");
    cli_texts read = {0};
    if (!dry_run) cli_try_output(output_path, true);
    if (calibrate && output_path) cli_not_over(output_path, calibrate);
    sqz_text *texts = calibrate ? read_texts(&read) : NULL;
    const sqz_quantize_options o = {.type = (sqz_quantize_type)type,
                                    .keep = keep,
                                    .no_bias_correction = no_bias_correction,
                                    .tensor = take,
                                    .texts = texts,
                                    .n_texts = read.n,
                                    .calibrated = take_calibrated,
                                    .progress = calibrate ? cli_show_share : NULL,
                                    .user = "layers calibrated"};
    const sqz_status status = sqz_quantize(cli_context(), arguments[0],
                                           dry_run ? NULL : output_path, &o, &error);
    if (status == SQZ_ENUMERIC) cli_die(CLI_BAD_FILE, "%s", error.text);
    cli_check(status, &error);
    show();
    cli_say_cut(calibration.n_cut, calibration.n_texts, "texts to calibrate on");
    free(rows);
    free(texts);
    free(read.bytes);
    free(read.ends);
    if (!dry_run) cli_say("wrote %s", output_path);
    return CLI_DONE;
}

static const cli_option *const tables[] = {options, cli_model_options, NULL};
const cli_verb cli_verb_quantize = {
    "quantize",
    "store a model's weights in int8, int4, int3, bf16 or f16",
    "MODEL",
    "Prints what each tensor becomes, its relative error and its bytes, and writes a model file. "
    "int8 models run in integers, bf16 models in bf16; s4 and s3, of 4.1 and 3.2 bits, are "
    "storage, expanded to int8 when the model is opened, and f16 to f32.",
    "squeezebert quantize minilm.gguf -o minilm-s8.gguf --type s8 --calibrate texts.txt",
    1,
    1,
    tables,
    run};
