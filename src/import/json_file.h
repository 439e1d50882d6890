/* SPDX-License-Identifier: Apache-2.0 */
/* JSON files of a folder, and typed access that says which file and key is wrong. */
#ifndef SQZI_JSON_FILE_H
#define SQZI_JSON_FILE_H

#include <jansson.h>
#include <stdbool.h>

#include <squeezebert/status.h>

enum { SQZI_JSON_PATH = 4096 };

/* FOLDER/NAME; SQZ_ELIMIT when it does not fit. */
SQZ_NODISCARD sqz_status sqzi_join_path(const char *folder, const char *name, char path[SQZI_JSON_PATH], sqz_error *error);
bool sqzi_file_exists(const char *path);

/* Parse `bytes` of a file called `name`. Depth and size are bounded; a key that comes twice is an error. */
SQZ_NODISCARD sqz_status sqzi_json_parse(const char *name, const void *data, size_t bytes, json_t **out, sqz_error *error);
/* The file FOLDER/NAME; *out NULL and SQZ_OK where it is absent and not required. */
SQZ_NODISCARD sqz_status sqzi_json_load(const char *folder, const char *name, bool required, json_t **out, sqz_error *error);

/* Members of an object; absent or null leaves *out as it is where not required. `where` names the file. */
SQZ_NODISCARD sqz_status sqzi_json_uint(const json_t *object, const char *where, const char *key, bool required, uint32_t *out, sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_json_number(const json_t *object, const char *where, const char *key, bool required, double *out, sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_json_bool(const json_t *object, const char *where, const char *key, bool *out, sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_json_string(const json_t *object, const char *where, const char *key, bool required, const char **out, sqz_error *error);

#endif
