/* SPDX-License-Identifier: Apache-2.0 */
/* Models that are found by their names: files NAME.gguf in the folder that SQUEEZEBERT_MODELS
 * names, in models/ beside the program (a build tree has the source's there) and in
 * share/squeezebert/models of where the program is installed. Of two of a name the first counts. */
#ifndef CLI_FIND_MODEL_H
#define CLI_FIND_MODEL_H

#include "cli.h"

typedef struct cli_shipped {
    char *name, *path;
} cli_shipped;

/* All of them by name, until the program ends. */
const cli_shipped *cli_shipped_models(uint32_t *n);
/* The path of the one of this name, or NULL. */
const char *cli_shipped_model(const char *name);
/* Their names, and the folders that were looked in, with commas; to be freed. Names: NULL where
 * there is none. */
char *cli_shipped_names(void);
char *cli_shipped_folders(void);
/* What an argument that names a model stands for: itself where there is a file of that name or a
 * folder of a model, or where it is no plain name, else the path of the model that has this name.
 * Dies where none has. */
const char *cli_find_model(const char *text);
/* Whether the arguments of a verb are such. */
bool cli_takes_models(const cli_verb *verb);
/* A line, or with --json an object, for each; the exit code. list_models.c */
int cli_list_models(void);

#endif
