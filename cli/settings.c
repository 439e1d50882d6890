/* SPDX-License-Identifier: Apache-2.0 */
/* Options that several verbs take. */
#include "cli.h"

cli_settings cli;

const cli_option cli_program_options[] = {
    {"help", 'h', CLI_FLAG, &cli.help, NULL, "show this text"},
    {0},
};

const cli_option cli_model_options[] = {
    {"json", 'j', CLI_FLAG, &cli.json, NULL, "write JSON, one object a line"},
    {"threads", 't', CLI_NUMBER, &cli.threads, "N",
     "threads to use, at most the CPUs this process may use (the default)"},
    {"cpu", 0, CLI_TEXT, &cli.cpu, "LIST",
     "CPU features to use: a preset such as avx2 or portable, then -NAME to take some away "
     "(default: $SQZ_CPU, else all)"},
    {0},
};

const cli_option cli_record_options[] = {
    {"pair", 0, CLI_FLAG, &cli.pair, NULL, "a TAB splits each line in two texts"},
    {"input", 0, CLI_CHOICE, &cli.input, "lines|csv|tsv|jsonl",
     "what stdin holds; tables come out as JSON with their other fields passed through"},
    {"text", 0, CLI_TEXT, &cli.text, "COLUMN",
     "with a table: the column of the text (default: text)"},
    {"text2", 0, CLI_TEXT, &cli.text2, "COLUMN", "with a table: the column of the second text"},
    {"quotes", 0, CLI_CHOICE, &cli.quotes, "auto|none|csv",
     "what \" means in csv and tsv. auto: csv by RFC 4180; a tsv cell wholly in quotes loses them, "
     "doubled ones inside are halved, any other \" is text. none: all are text. csv: RFC 4180 in "
     "tsv too"},
    {"strict", 0, CLI_FLAG, &cli.strict, NULL, "stop at the first record that fails"},
    {"bytes", 0, CLI_FLAG, &cli.bytes, NULL, "offsets in bytes instead of code points"},
    {"progress", 0, CLI_CHOICE, &cli.progress, "auto|none", "progress on stderr"},
    {0},
};

const cli_option cli_length_options[] = {
    {"max-length", 0, CLI_NUMBER, &cli.max_length, "N",
     "pieces read of a text, special tokens included (default: the model's)"},
    {"long", 0, CLI_CHOICE, &cli.long_text, "default|cut|stride|error",
     "longer texts are cut, read in windows that overlap, or refused"},
    {"stride", 0, CLI_NUMBER, &cli.stride, "N",
     "pieces that a window repeats (default: a quarter of the length, at most 128)"},
    {"batch-tokens", 0, CLI_NUMBER, &cli.batch_tokens, "N",
     "pieces computed at a time (default: 2048; fewer where they would take more memory than the "
     "model)"},
    {"literal-special-tokens", 0, CLI_FLAG, &cli.literal_special_tokens, NULL,
     "\"[SEP]\" in a text is text, not the special token"},
    {0},
};
