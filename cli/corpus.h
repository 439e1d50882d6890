/* SPDX-License-Identifier: Apache-2.0 */
/* The texts that search looks through, kept for showing them: each with its line and, where the
 * file has such a column, its id. */
#ifndef CLI_CORPUS_H
#define CLI_CORPUS_H

#include "cli.h"

typedef struct cli_document {
    sqz_text text;
    uint64_t line; /* of the file, from 1 */
    sqz_text id;   /* bytes NULL: none */
    bool id_json;  /* a JSON value as it stands, else text */
} cli_document;

/* --file --file-input --file-text --id */
extern const cli_option cli_corpus_options[];

/* Read the file in portions; `add` gets each of them, in order.
 * Dies with CLI_BAD_FILE on a record that cannot be read, and where there is none. */
void cli_read_corpus(void (*add)(const cli_document *documents, uint32_t n));
const cli_document *cli_corpus_document(uint64_t row);
uint64_t cli_corpus_size(void);
/* What messages call it. */
const char *cli_corpus_path(void);
void cli_free_corpus(void);

#endif
