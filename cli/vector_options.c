/* SPDX-License-Identifier: Apache-2.0 */
/* The options of embed, similarity and search about vectors. */
#include "vector_options.h"

uint32_t cli_pool, cli_dimensions;
static bool normalize, plain;
static const char *prompt;

const cli_option cli_vector_options[] = {
    {"pool", 0, CLI_CHOICE, &cli_pool, "default|none|mean|cls|pooler",
     "how the states of the pieces become one vector (default: as the model says); none: one a "
     "piece"},
    {"normalize", 0, CLI_FLAG, &normalize, NULL, "divide by the length"},
    {"no-normalize", 0, CLI_FLAG, &plain, NULL, "do not (default: as the model says)"},
    {"dimensions", 0, CLI_NUMBER, &cli_dimensions, "N",
     "keep the first N numbers, before normalising"},
    {"prompt", 0, CLI_TEXT, &prompt, "NAME", "put the model's prompt NAME before each text"},
    {0},
};
sqz_embed_text_options cli_embed_options(const char *model)
{
    sqz_embed_text_options o = {.embed = {.pool = (sqz_pool)cli_pool,
                                          .normalize = normalize ? 1
                                                       : plain   ? 0
                                                                 : -1,
                                          .dimensions = cli_dimensions}};
    if (normalize && plain) cli_die(CLI_USAGE, "--normalize and --no-normalize exclude each other");
    if (prompt && !(o.prompt = sqz_model_prompt(cli_model(model), prompt)))
        cli_die(CLI_USAGE, "the model has no prompt '%s'; `squeezebert info` lists them", prompt);
    return o;
}
