/* SPDX-License-Identifier: Apache-2.0 */
/* jansson, asked only for what there is memory for. */
#include "data/json_text.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/json_lenient.h"
#include "data/point_locale.h"

enum { MAX_JSON = 256 << 20 };

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
                         "%llu MB, more than 16 times their size",
                         text->name, text->bytes, (unsigned long long)(needed / 1000000));
    *spare -= over;
    return check_memory(text, needed + STRINGS * (uint64_t)text->bytes, error);
}

sqz_status sqzi_json_parse(sqzi_json_text text, uint64_t *spare, json_t **out, sqz_error *error)
{
    json_error_t fault;
    if (!text.data) text.data = "";
    if (text.bytes >= 2 &&
        (memcmp(text.data, "\xFF\xFE", 2) == 0 || memcmp(text.data, "\xFE\xFF", 2) == 0))
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
