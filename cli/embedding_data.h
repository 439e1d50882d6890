/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that are embedded and compared, in finetune and eval: columns and prompts. */
#ifndef CLI_EMBEDDING_DATA_H
#define CLI_EMBEDDING_DATA_H

#include "labelled.h"

/* --negative --prompt --query-prompt --passage-prompt */
extern const cli_option cli_embedding_options[];

/* The first of these options that was given, or NULL. */
const char *cli_embedding_given(void);
/* 1: --negative was. */
bool cli_has_negatives(void);
/* The columns of texts to read: --text2 stands at "text2" unless it was given. */
void cli_embedding_columns(cli_data *data);

/* What goes before texts of a role: by --query-prompt and --passage-prompt, by --prompt, else, of
 * texts with scores (kind VALUE) as `similarity` has it, the model's default prompt, and of others
 * as `search` has it. "" for none; until the model is closed. */
const char *cli_embedding_prompt(const sqz_model *model, sqz_role role, sqz_label_kind kind);

#endif
