/* SPDX-License-Identifier: Apache-2.0 */
/* A folder that appears whole or not at all: its files are written under a temporary name beside
 * it, which is renamed at the end. */
#ifndef SQZI_FOLDER_WRITER_H
#define SQZI_FOLDER_WRITER_H

#include <jansson.h>

#include "base/file_map.h"

enum { SQZI_FOLDER_PATH = 2048 };

typedef struct sqzi_folder_writer {
    /* temporary "": nothing is open */
    char path[SQZI_FOLDER_PATH], temporary[SQZI_FOLDER_PATH + 32];
} sqzi_folder_writer;

/* SQZ_EIO: `path` is there and is no empty folder, or nothing can be made beside it. */
SQZ_NODISCARD sqz_status sqzi_folder_writer_open(const char *path, sqzi_folder_writer *folder,
                                                 sqz_error *error);
/* Begin the file NAME, or PART/NAME where the folder PART is made; commit and discard are
 * sqzi_file_writer's. */
SQZ_NODISCARD sqz_status sqzi_folder_writer_file(const sqzi_folder_writer *folder, const char *name,
                                                 sqzi_file_writer *file, sqz_error *error);
/* A whole JSON file. The reference to `json` is the caller's. */
SQZ_NODISCARD sqz_status sqzi_folder_writer_json(const sqzi_folder_writer *folder, const char *name,
                                                 const json_t *json, sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_folder_writer_commit(sqzi_folder_writer *folder, sqz_error *error);
/* also after a commit, where it does nothing */
void sqzi_folder_writer_discard(sqzi_folder_writer *folder);

#endif
