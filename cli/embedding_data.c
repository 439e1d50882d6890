/* SPDX-License-Identifier: Apache-2.0 */
/* Columns and prompts of texts that are embedded. */
#include "embedding_data.h"

#include <string.h>

#include "vector_options.h"

static const char *negatives, *prompt, *query_prompt, *passage_prompt;

const cli_option cli_embedding_options[] = {
    {"negative", 0, CLI_TEXT, &negatives, "COLUMN,...",
     "texts that do not belong to --text, as --text2 does; jsonl may have arrays"},
    {"prompt", 0, CLI_TEXT, &prompt, "NAME",
     "put the model's prompt NAME before each text, or with text:WORDS these words (default: as "
     "similarity has it; ranking: as search)"},
    {"query-prompt", 0, CLI_TEXT, &query_prompt, "NAME", "as --prompt, for the first texts alone"},
    {"passage-prompt", 0, CLI_TEXT, &passage_prompt, "NAME",
     "as --prompt, for all but the first texts"},
    {0},
};

const char *cli_embedding_given(void)
{
    return negatives        ? "--negative"
           : prompt         ? "--prompt"
           : query_prompt   ? "--query-prompt"
           : passage_prompt ? "--passage-prompt"
                            : NULL;
}

bool cli_has_negatives(void)
{
    return negatives != NULL;
}

/* Names between commas, kept for as long as the program runs: the options point at them. */
static uint32_t split_names(const char *names[SQZ_MOST_NEGATIVES])
{
    static char copy[4096];
    uint32_t n = 0;
    if (strlen(negatives) >= sizeof copy) cli_die(CLI_USAGE, "--negative: over 4095 bytes");
    strcpy(copy, negatives);
    for (char *word = strtok(copy, ","); word; word = strtok(NULL, ",")) {
        if (n == SQZ_MOST_NEGATIVES)
            cli_die(CLI_USAGE, "--negative: %d columns are the most", SQZ_MOST_NEGATIVES);
        names[n++] = word;
    }
    if (!n) cli_die(CLI_USAGE, "--negative names no column");
    return n;
}

void cli_embedding_columns(cli_data *data)
{
    static const char *names[SQZ_MOST_NEGATIVES];
    if (!cli_columns.text2) cli_columns.text2 = "text2";
    if (!negatives) return;
    data->negatives = names;
    data->n_negatives = split_names(names);
}

const char *cli_embedding_prompt(const sqz_model *model, sqz_role role, sqz_label_kind kind)
{
    const char *own = role == SQZ_ROLE_QUERY ? query_prompt : passage_prompt;
    if (!own) own = prompt;
    if (own) return cli_find_prompt(model, own);
    if (kind == SQZ_LABELS_NONE) return sqz_model_role_prompt(model, role);
    const char *usual = sqz_model_prompt(model, NULL);
    return usual ? usual : "";
}
