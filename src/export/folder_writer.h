/* SPDX-License-Identifier: Apache-2.0 */
/* A folder that appears whole or not at all: its files are written in a folder of another name
 * beside it, which is renamed at the end. */
#ifndef SQZI_FOLDER_WRITER_H
#define SQZI_FOLDER_WRITER_H

#include <jansson.h>

#include "base/file_writer.h"

enum { SQZI_FOLDER_ENTRIES = 32, SQZI_FOLDER_NAME = 96 };

/* One file or folder that was made inside, as sqzi_temporary_add knows it. */
typedef struct sqzi_folder_entry {
    char name[SQZI_FOLDER_NAME];
    bool is_folder;
    int slot;
} sqzi_folder_entry;

/* {0}: nothing is open. Must not be moved while it is. */
typedef struct sqzi_folder_writer {
    char path[SQZI_OUTPUT_PATH];  /* as it was named: what messages say */
    char place[SQZI_OUTPUT_PATH]; /* links followed */
    char temporary[SQZI_OUTPUT_PATH + SQZI_TEMPORARY_SUFFIX]; /* "": nothing is open */
    int folder, slot;                                         /* the temporary folder, open */
    sqzi_folder_entry entries[SQZI_FOLDER_ENTRIES];
    uint32_t n_entries;
} sqzi_folder_writer;

/* SQZ_EOUTPUT: `path` is there and is no empty folder, or nothing can be made beside it. */
SQZ_NODISCARD sqz_status sqzi_folder_writer_open(const char *path, sqzi_folder_writer *folder,
                                                 sqz_error *error);
/* Begin the file NAME, or PART/NAME where the folder PART is made; commit and discard are
 * sqzi_file_writer's. */
SQZ_NODISCARD sqz_status sqzi_folder_writer_file(sqzi_folder_writer *folder, const char *name,
                                                 sqzi_file_writer *file, sqz_error *error);
/* A whole JSON file. The reference to `json` is the caller's. */
SQZ_NODISCARD sqz_status sqzi_folder_writer_json(sqzi_folder_writer *folder, const char *name,
                                                 const json_t *json, sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_folder_writer_commit(sqzi_folder_writer *folder, sqz_error *error);
/* also after a commit, where it does nothing */
void sqzi_folder_writer_discard(sqzi_folder_writer *folder);

#endif
