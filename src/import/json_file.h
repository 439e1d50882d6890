/* SPDX-License-Identifier: Apache-2.0 */
/* JSON files of a folder, and typed access that says which file and key is wrong. */
#ifndef SQZI_JSON_FILE_H
#define SQZI_JSON_FILE_H

#include "data/json_text.h"

enum { SQZI_JSON_PATH = 4096 };

/* FOLDER/NAME; SQZ_ELIMIT when it does not fit. */
SQZ_NODISCARD sqz_status sqzi_join_path(const char *folder, const char *name,
                                        char path[SQZI_JSON_PATH], sqz_error *error);
/* Anything of this name, be it a file that cannot be read or a link that leads nowhere: what is
 * there and cannot be opened is an error, not absent. */
bool sqzi_file_exists(const char *path);

/* The file FOLDER/NAME, read as Python reads it; *out NULL and SQZ_OK where it is absent and not
 * required. SQZ_EFORMAT as well: a Git LFS pointer. */
SQZ_NODISCARD sqz_status sqzi_json_load(const char *folder, const char *name, bool required,
                                        json_t **out, sqz_error *error);

/* Members of an object; absent or null leaves *out as it is where not required. `where` names the
 * file. */
SQZ_NODISCARD sqz_status sqzi_json_uint(const json_t *object, const char *where, const char *key,
                                        bool required, uint32_t *out, sqz_error *error);
/* Any number: infinite where no double holds what is written, which for a limit means none. */
SQZ_NODISCARD sqz_status sqzi_json_number(const json_t *object, const char *where, const char *key,
                                          bool required, double *out, sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_json_bool(const json_t *object, const char *where, const char *key,
                                        bool *out, sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_json_string(const json_t *object, const char *where, const char *key,
                                          bool required, const char **out, sqz_error *error);

/* Whether all keys of an object are among `known`, which ends with NULL; SQZ_EUNSUPPORTED names the
 * one that is not, which could change what the tokenizer does. `where` names file and part. */
SQZ_NODISCARD sqz_status sqzi_json_check_keys(json_t *object, const char *where,
                                              const char *const *known, sqz_error *error);

#endif
