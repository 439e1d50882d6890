/* SPDX-License-Identifier: Apache-2.0 */
#include "import/json_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file_map.h"

enum { MAX_JSON = 256 << 20 };

sqz_status sqzi_join_path(const char *folder, const char *name, char path[SQZI_JSON_PATH], sqz_error *error)
{
    const int n = snprintf(path, SQZI_JSON_PATH, "%s/%s", folder, name);
    return n > 0 && n < SQZI_JSON_PATH ? SQZ_OK : sqzi_fail(error, SQZ_ELIMIT, 0, "the path '%.100s.../%s' is longer than %d bytes", folder, name, SQZI_JSON_PATH);
}

bool sqzi_file_exists(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file) fclose(file);
    return file != NULL;
}

sqz_status sqzi_json_parse(const char *name, const void *data, size_t bytes, json_t **out, sqz_error *error)
{
    json_error_t fault;
    if (bytes > MAX_JSON) return sqzi_fail(error, SQZ_ELIMIT, 0, "%s: %zu bytes of JSON, at most %d are read", name, bytes, MAX_JSON);
    *out = json_loadb(data ? data : "", bytes, JSON_REJECT_DUPLICATES, &fault);
    if (*out && !json_is_object(*out) && !json_is_array(*out)) {
        json_decref(*out);
        *out = NULL;
    }
    if (*out) return SQZ_OK;
    return sqzi_fail(error, SQZ_EFORMAT, fault.position > 0 ? (uint64_t)fault.position : 0, "%s, line %d: %s", name, fault.line, fault.text);
}

sqz_status sqzi_json_load(const char *folder, const char *name, bool required, json_t **out, sqz_error *error)
{
    char path[SQZI_JSON_PATH];
    sqzi_file_map map;
    *out = NULL;
    sqz_status status = sqzi_join_path(folder, name, path, error);
    if (status != SQZ_OK || (!required && !sqzi_file_exists(path))) return status;
    status = sqzi_file_map_open(path, &map, error);
    if (status != SQZ_OK) return status;
    status = sqzi_json_parse(path, map.data, map.bytes, out, error);
    sqzi_file_map_close(&map);
    return status;
}

/* The member, NULL where absent or null; an error where it must be there. */
static sqz_status member(const json_t *object, const char *where, const char *key, bool required, const json_t **out, sqz_error *error)
{
    *out = json_object_get(object, key);
    if (json_is_null(*out)) *out = NULL;
    return *out || !required ? SQZ_OK : sqzi_fail(error, SQZ_EFORMAT, 0, "%s: '%s' is missing", where, key);
}

sqz_status sqzi_json_uint(const json_t *object, const char *where, const char *key, bool required, uint32_t *out, sqz_error *error)
{
    const json_t *value;
    const sqz_status status = member(object, where, key, required, &value, error);
    if (status != SQZ_OK || !value) return status;
    const double number = json_number_value(value);
    if (!json_is_number(value) || number < 0 || number > UINT32_MAX || number != floor(number))
        return sqzi_fail(error, SQZ_EFORMAT, 0, "%s: '%s' must be a whole number from 0 to 2^32 - 1", where, key);
    *out = (uint32_t)number;
    return SQZ_OK;
}

sqz_status sqzi_json_number(const json_t *object, const char *where, const char *key, bool required, double *out, sqz_error *error)
{
    const json_t *value;
    const sqz_status status = member(object, where, key, required, &value, error);
    if (status != SQZ_OK || !value) return status;
    if (!json_is_number(value)) return sqzi_fail(error, SQZ_EFORMAT, 0, "%s: '%s' must be a number", where, key);
    *out = json_number_value(value);
    return SQZ_OK;
}

sqz_status sqzi_json_bool(const json_t *object, const char *where, const char *key, bool *out, sqz_error *error)
{
    const json_t *value;
    const sqz_status status = member(object, where, key, false, &value, error);
    if (status != SQZ_OK || !value) return status;
    if (!json_is_boolean(value)) return sqzi_fail(error, SQZ_EFORMAT, 0, "%s: '%s' must be true or false", where, key);
    *out = json_is_true(value);
    return SQZ_OK;
}

sqz_status sqzi_json_string(const json_t *object, const char *where, const char *key, bool required, const char **out, sqz_error *error)
{
    const json_t *value;
    const sqz_status status = member(object, where, key, required, &value, error);
    if (status != SQZ_OK || !value) return status;
    if (!json_is_string(value)) return sqzi_fail(error, SQZ_EFORMAT, 0, "%s: '%s' must be a string", where, key);
    *out = json_string_value(value);
    return SQZ_OK;
}
