/* SPDX-License-Identifier: Apache-2.0 */
/* The options of embed, similarity and search about vectors. */
#include "vector_options.h"

#include <string.h>

uint32_t cli_pooling, cli_dimensions;
static uint32_t similarity;
static char pools[128], similarities[64]; /* "default|none|mean|..", by enumerator */
static bool normalize, plain;
static const char *prompt, *side_prompts[2];

const cli_option cli_vector_options[] = {
    {"pool", 0, CLI_CHOICE, &cli_pooling, pools,
     "how the states of the pieces become one vector (default: as the model says); none: one a "
     "piece"},
    {"normalize", 0, CLI_FLAG, &normalize, NULL, "divide by the length"},
    {"no-normalize", 0, CLI_FLAG, &plain, NULL, "do not (default: as the model says)"},
    {"dimensions", 0, CLI_NUMBER, &cli_dimensions, "N",
     "keep the first N numbers, before normalising"},
    {"prompt", 0, CLI_TEXT, &prompt, "NAME",
     "put the model's prompt NAME before each text, or with text:WORDS these words"},
    {0},
};

const cli_option cli_side_options[] = {
    {"query-prompt", 0, CLI_TEXT, &side_prompts[SQZ_ROLE_QUERY], "NAME",
     "as --prompt, for queries alone (similarity: the first texts)"},
    {"passage-prompt", 0, CLI_TEXT, &side_prompts[SQZ_ROLE_PASSAGE], "NAME",
     "as --prompt, for the texts searched alone (similarity: the second texts)"},
    {"similarity", 0, CLI_CHOICE, &similarity, similarities,
     "what a score is, distances with a minus (default: as the model says)"},
    {0},
};

void cli_name_vectors(void)
{
    const char *word;
    for (int i = 0; (word = sqz_pooling_name((sqz_pooling)i)); i++)
        snprintf(pools + strlen(pools), sizeof pools - strlen(pools), "%s%s", i ? "|" : "", word);
    for (int i = 0; (word = sqz_similarity_name((sqz_similarity_kind)i)); i++)
        snprintf(similarities + strlen(similarities), sizeof similarities - strlen(similarities),
                 "%s%s", i ? "|" : "", word);
}

const char *cli_find_prompt(const sqz_model *model, const char *given)
{
    const char *found = sqz_model_prompt(model, given);
    if (!found && strncmp(given, "text:", 5) == 0) found = given + 5;
    if (!found)
        cli_die(CLI_USAGE,
                "the model has no prompt '%s'; `squeezebert info` lists them, and text:WORDS puts "
                "WORDS before a text",
                given);
    return found;
}

sqz_embed_text_options cli_embed_options(const char *model)
{
    sqz_embed_text_options o = {.embed = {.pooling = (sqz_pooling)cli_pooling,
                                          .normalize = normalize ? SQZ_NORMALIZE_YES
                                                       : plain   ? SQZ_NORMALIZE_NO
                                                                 : SQZ_NORMALIZE_DEFAULT,
                                          .dimensions = cli_dimensions},
                                .similarity = (sqz_similarity_kind)similarity};
    if (normalize && plain) cli_die(CLI_USAGE, "--normalize and --no-normalize exclude each other");
    if (prompt) o.prompt = cli_find_prompt(cli_model(model), prompt);
    return o;
}

sqz_embed_text_options cli_pair_options(const char *model)
{
    sqz_embed_text_options o = cli_embed_options(model);
    const char *first = side_prompts[SQZ_ROLE_QUERY], *second = side_prompts[SQZ_ROLE_PASSAGE];
    if (!o.prompt) o.prompt = sqz_model_prompt(cli_model(model), NULL);
    if (!o.prompt) o.prompt = "";
    o.second_prompt = second ? cli_find_prompt(cli_model(model), second) : o.prompt;
    if (first) o.prompt = cli_find_prompt(cli_model(model), first);
    return o;
}

sqz_embed_text_options cli_role_options(const char *model, sqz_role role)
{
    sqz_embed_text_options o = cli_embed_options(model);
    if (side_prompts[role]) o.prompt = cli_find_prompt(cli_model(model), side_prompts[role]);
    if (!o.prompt) o.prompt = sqz_model_role_prompt(cli_model(model), role);
    if (!o.similarity) o.similarity = sqz_model_get_info(cli_model(model))->similarity;
    return o;
}
