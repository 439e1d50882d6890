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
#include "base/memory.h"
#include "data/point_locale.h"
#include "import/json_lenient.h"
#include "import/lfs_pointer.h"

enum { MAX_JSON = 256 << 20 };

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

/* Bytes that jansson's values take, beside the bytes of strings: "{}," is three bytes of text and
 * 240 of memory. Sizes of jansson 2.14 on 64 bits with 16 more for each block; a table or an array
 * that grows is there twice for a moment. */
static uint64_t values_bytes(const char *text, size_t n)
{
    enum { OBJECT = 240, ARRAY = 136, STRING = 65, MEMBER = 64, ELEMENT = 24, NUMBER = 40 };
    uint64_t bytes = 0;
    bool quoted = false, number = false;
    for (size_t i = 0; i < n; i++) {
        const char c = text[i];
        if (quoted) {
            if (c == '\\') i++;
            quoted = c != '"';
            continue;
        }
        const bool digit = (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' ||
                           c == 'E';
        quoted = c == '"';
        /* NaN, which becomes a string, and Infinity */
        bytes += quoted || c == 'N' || c == 'I' ? STRING
                 : c == '{'                     ? OBJECT
                 : c == '['                     ? ARRAY
                 : c == ':'                     ? MEMBER
                 : c == ','                     ? ELEMENT
                 : digit && !number             ? NUMBER
                                                : 0;
        number = digit;
    }
    return bytes;
}

/* jansson 2.14 drops a character, or calls it a wrong token, where its lexer finds no memory. So
 * all that it may take is asked for and given back first. */
static sqz_status check_memory(const sqzi_json_text *text, uint64_t bytes, sqz_error *error)
{
    void *probe = bytes > SIZE_MAX ? NULL : sqzi_allocate(&sqzi_default_allocator, (size_t)bytes);
    if (!probe) return sqzi_fail(error, SQZ_ENOMEM, 0, "%s: no memory for its JSON", text->name);
    sqzi_release(&sqzi_default_allocator, probe, (size_t)bytes);
    return SQZ_OK;
}

/* 4 of the 16 times are for the strings: their own bytes, and three times the longest while it is
 * read. */
static sqz_status check_size(const sqzi_json_text *text, uint64_t *spare, sqz_error *error)
{
    enum { FACTOR = 12, STRINGS = 4 };
    if (text->bytes > MAX_JSON)
        return sqzi_fail(error, SQZ_ELIMIT, 0, "%s: %zu bytes of JSON, at most %d are read",
                         text->name, text->bytes, MAX_JSON);
    const uint64_t needed = values_bytes(text->data, text->bytes),
                   given = FACTOR * (uint64_t)text->file_bytes,
                   over = needed > given ? needed - given : 0;
    if (over > *spare)
        return sqzi_fail(error, SQZ_ELIMIT, 0,
                         "%s: its %zu bytes of JSON hold so many values that they would take some "
                         "%llu MB: no file of a model is like that",
                         text->name, text->bytes, (unsigned long long)(needed / 1000000));
    *spare -= over;
    return check_memory(text, needed + STRINGS * (uint64_t)text->bytes, error);
}

sqz_status sqzi_json_parse(sqzi_json_text text, uint64_t *spare, json_t **out, sqz_error *error)
{
    json_error_t fault;
    if (!text.data) text.data = "";
    if (text.bytes >= 2 && (memcmp(text.data, "\xFF\xFE", 2) == 0 ||
                            memcmp(text.data, "\xFE\xFF", 2) == 0))
        return sqzi_fail(error, SQZ_EFORMAT, 0,
                         "%s: begins with the mark of UTF-16, JSON is UTF-8 (iconv -f UTF-16 -t "
                         "UTF-8 makes it)",
                         text.name);
    const sqz_status status = check_size(&text, spare, error);
    if (status != SQZ_OK) return status;
    const sqzi_point_locale locale = sqzi_point_locale_begin();
    *out = text.strict ? json_loadb(text.data, text.bytes, JSON_REJECT_DUPLICATES, &fault)
                       : sqzi_json_lenient(text.data, text.bytes, &fault);
    sqzi_point_locale_end(locale);
    if (*out) return SQZ_OK;
    if (!fault.text[0])
        return sqzi_fail(error, SQZ_ENOMEM, 0, "%s: no memory for its JSON", text.name);
    return sqzi_fail(error, SQZ_EFORMAT, fault.position > 0 ? (uint64_t)fault.position : 0,
                     "%s, line %d: %s", text.name, fault.line, fault.text);
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
