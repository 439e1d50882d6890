/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L /* lstat */
#include "import/json_file.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file_map.h"
#include "import/lfs_pointer.h"

sqz_status sqzi_join_path(const char *folder, const char *name, char path[SQZI_JSON_PATH],
                          sqz_error *error)
{
    const int n = snprintf(path, SQZI_JSON_PATH, "%s/%s", folder, name);
    return n > 0 && n < SQZI_JSON_PATH
               ? SQZ_OK
               : sqzi_fail(error, SQZ_ELIMIT, 0, "the path '%.100s.../%s' is longer than %d bytes",
                           folder, name, SQZI_JSON_PATH);
}

bool sqzi_file_exists(const char *path)
{
    struct stat facts;
    return lstat(path, &facts) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

sqz_status sqzi_json_load(const char *folder, const char *name, bool required, json_t **out,
                          sqz_error *error)
{
    char path[SQZI_JSON_PATH];
    sqzi_file_map map;
    uint64_t spare = SQZI_JSON_SPARE;
    *out = NULL;
    sqz_status status = sqzi_join_path(folder, name, path, error);
    if (status != SQZ_OK || (!required && !sqzi_file_exists(path))) return status;
    status = sqzi_file_map_open(path, &map, error);
    if (status != SQZ_OK) return status;
    status = sqzi_is_lfs_pointer(map.data, map.bytes)
                 ? sqzi_lfs_pointer_fail(path, error)
                 : sqzi_json_parse((sqzi_json_text){path, map.data, map.bytes, map.bytes, false},
                                   &spare, out, error);
    sqzi_file_map_close(&map);
    return status;
}

/* The member, NULL where absent or null; an error where it must be there. */
static sqz_status member(const json_t *object, const char *where, const char *key, bool required,
                         const json_t **out, sqz_error *error)
{
    *out = json_object_get(object, key);
    if (json_is_null(*out)) *out = NULL;
    return *out || !required ? SQZ_OK
                             : sqzi_fail(error, SQZ_EFORMAT, 0, "%s: '%s' is missing", where, key);
}

sqz_status sqzi_json_uint(const json_t *object, const char *where, const char *key, bool required,
                          uint32_t *out, sqz_error *error)
{
    const json_t *value;
    const sqz_status status = member(object, where, key, required, &value, error);
    if (status != SQZ_OK || !value) return status;
    const double number = json_number_value(value);
    if (!json_is_number(value) || number < 0 || number > UINT32_MAX || number != floor(number))
        return sqzi_fail(error, SQZ_EFORMAT, 0,
                         "%s: '%s' must be a whole number from 0 to 2^32 - 1", where, key);
    *out = (uint32_t)number;
    return SQZ_OK;
}

sqz_status sqzi_json_number(const json_t *object, const char *where, const char *key, bool required,
                            double *out, sqz_error *error)
{
    const json_t *value;
    const sqz_status status = member(object, where, key, required, &value, error);
    if (status != SQZ_OK || !value) return status;
    if (!json_is_number(value))
        return sqzi_fail(error, SQZ_EFORMAT, 0, "%s: '%s' must be a number", where, key);
    *out = json_number_value(value);
    /* how json_lenient.c spells what no double holds */
    if (fabs(*out) >= DBL_MAX) *out = copysign((double)INFINITY, *out);
    return SQZ_OK;
}

sqz_status sqzi_json_bool(const json_t *object, const char *where, const char *key, bool *out,
                          sqz_error *error)
{
    const json_t *value;
    const sqz_status status = member(object, where, key, false, &value, error);
    if (status != SQZ_OK || !value) return status;
    if (!json_is_boolean(value))
        return sqzi_fail(error, SQZ_EFORMAT, 0, "%s: '%s' must be true or false", where, key);
    *out = json_is_true(value);
    return SQZ_OK;
}

sqz_status sqzi_json_string(const json_t *object, const char *where, const char *key, bool required,
                            const char **out, sqz_error *error)
{
    const json_t *value;
    const sqz_status status = member(object, where, key, required, &value, error);
    if (status != SQZ_OK || !value) return status;
    if (!json_is_string(value))
        return sqzi_fail(error, SQZ_EFORMAT, 0, "%s: '%s' must be a string", where, key);
    *out = json_string_value(value);
    return SQZ_OK;
}

sqz_status sqzi_json_check_keys(json_t *object, const char *where, const char *const *known,
                                sqz_error *error)
{
    const char *key;
    json_t *value;
    json_object_foreach (object, key, value) {
        size_t i = 0;
        while (known[i] && strcmp(known[i], key) != 0) i++;
        if (!known[i])
            return sqzi_fail(error, SQZ_EUNSUPPORTED, 0,
                             "%s has the key '%.60s', which is not known: it could change what "
                             "the tokenizer does",
                             where, key);
    }
    return SQZ_OK;
}
