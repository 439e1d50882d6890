/* SPDX-License-Identifier: Apache-2.0 */
/* What embed, similarity and search share: how texts become vectors. */
#ifndef CLI_VECTOR_OPTIONS_H
#define CLI_VECTOR_OPTIONS_H

#include "cli.h"

/* --pool, --normalize, --dimensions, --prompt, and where they go. */
extern const cli_option cli_vector_options[];
/* Once, before any option is read or shown: the words of --pool and --similarity, which are the
 * library's. */
void cli_name_vectors(void);
/* --query-prompt, --passage-prompt, --similarity: where there are two sides. */
extern const cli_option cli_side_options[];
extern uint32_t cli_pooling, cli_dimensions;

/* A prompt of the model by its name, or the words themselves behind "text:". Dies with CLI_USAGE
 * where there is none. */
const char *cli_find_prompt(const sqz_model *model, const char *given);

/* The options as the library takes them. Dies with CLI_USAGE where the model cannot do what they
 * ask for. */
sqz_embed_text_options cli_embed_options(const char *model);
/* The same for the texts of pairs, and for one side of a search, similarity filled in. */
sqz_embed_text_options cli_pair_options(const char *model);
sqz_embed_text_options cli_role_options(const char *model, sqz_role role);

#endif
