/* SPDX-License-Identifier: Apache-2.0 */
/* A scanner, not a parser: it knows where a value ends and that it is one, and makes none of it. So
 * a number keeps its digits, and memory does not grow with what a line holds. */
#include "data/json_members.h"

#include <string.h>

#include "base/error.h"

typedef struct cursor {
    char *at, *end;
    const char *expected; /* NULL until something is wrong */
} cursor;

static bool fail(cursor *c, const char *expected)
{
    if (!c->expected) c->expected = expected;
    return false;
}

static char peek(const cursor *c)
{
    return c->at < c->end ? *c->at : '\0';
}

static void skip_space(cursor *c)
{
    for (; c->at < c->end; c->at++) {
        if (*c->at == '\r' || *c->at == '\t') *c->at = ' ';
        if (*c->at != ' ' && *c->at != '\n') return;
    }
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool skip_escape(cursor *c)
{
    c->at++;
    const char kind = peek(c);
    if (c->at == c->end || !kind || !strchr("\"\\/bfnrtu", kind))
        return fail(c, "one of \" \\ / b f n r t u behind \\");
    c->at++;
    for (int i = 0; kind == 'u' && i < 4; i++, c->at++)
        if (!is_hex(peek(c))) return fail(c, "four hexadecimal digits behind \\u");
    return true;
}

static bool skip_string(cursor *c, sqz_text *inside)
{
    if (peek(c) != '"') return fail(c, "a name in quotes");
    inside->bytes = ++c->at;
    while (c->at < c->end && *c->at != '"') {
        if ((unsigned char)*c->at < 0x20) return fail(c, "no control character in a string");
        if (*c->at != '\\') c->at++;
        else if (!skip_escape(c)) return false;
    }
    if (c->at == c->end) return fail(c, "the quote that ends a string");
    inside->n_bytes = (size_t)(c->at++ - inside->bytes);
    return true;
}

static bool skip_digits(cursor *c)
{
    if (!is_digit(peek(c))) return fail(c, "a digit");
    while (is_digit(peek(c))) c->at++;
    return true;
}

static bool skip_number(cursor *c)
{
    if (peek(c) == '-') c->at++;
    if (peek(c) == '0') c->at++;
    else if (!skip_digits(c)) return false;
    if (peek(c) == '.') {
        c->at++;
        if (!skip_digits(c)) return false;
    }
    if (peek(c) != 'e' && peek(c) != 'E') return true;
    c->at++;
    if (peek(c) == '+' || peek(c) == '-') c->at++;
    return skip_digits(c);
}

static bool skip_scalar(cursor *c)
{
    static const char *const words[] = {"true", "false", "null", "NaN", "Infinity", "-Infinity"};
    sqz_text unused;
    if (peek(c) == '"') return skip_string(c, &unused);
    for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
        const size_t n = strlen(words[w]);
        if ((size_t)(c->end - c->at) < n || memcmp(c->at, words[w], n) != 0) continue;
        c->at += n;
        return true;
    }
    if (peek(c) != '-' && !is_digit(peek(c))) return fail(c, "a value");
    return skip_number(c);
}

/* Skips `"name" :` and what is around it. */
static bool skip_name(cursor *c, sqz_text *name)
{
    skip_space(c);
    if (!skip_string(c, name)) return false;
    skip_space(c);
    if (peek(c) != ':') return fail(c, "a colon behind a name");
    c->at++;
    skip_space(c);
    return true;
}

/* One value, nested or not, without recursion. */
static bool skip_value(cursor *c)
{
    bool object[SQZI_JSON_DEPTH];
    uint32_t depth = 0;
    sqz_text unused;
    for (;;) {
        const char open = peek(c);
        bool closed = true;
        if (open == '{' || open == '[') {
            if (depth == SQZI_JSON_DEPTH) return fail(c, NULL);
            object[depth++] = open == '{';
            c->at++;
            skip_space(c);
            closed = peek(c) == (open == '{' ? '}' : ']');
            if (closed) {
                c->at++;
                depth--;
            }
        } else if (!skip_scalar(c)) return false;
        while (closed && depth) {
            skip_space(c);
            if (peek(c) == ',') break;
            if (peek(c) != (object[depth - 1] ? '}' : ']'))
                return fail(c, object[depth - 1] ? "a comma or }" : "a comma or ]");
            c->at++;
            depth--;
        }
        if (!depth) return true;
        if (closed) c->at++; /* the comma */
        if (object[depth - 1] && !skip_name(c, &unused)) return false;
        skip_space(c);
    }
}

/* Returns false with c->expected NULL where the limit of depth is met. */
static bool take_member(cursor *c, sqzi_json_member *member)
{
    if (!skip_name(c, &member->name)) return false;
    member->value.bytes = c->at;
    if (!skip_value(c)) return false;
    member->value.n_bytes = (size_t)(c->at - member->value.bytes);
    skip_space(c);
    return true;
}

static sqz_status report(const cursor *c, const char *line, sqz_error *error)
{
    const size_t at = (size_t)(c->at - line);
    if (!c->expected)
        return sqzi_fail(error, SQZ_ELIMIT, at, "the JSON nests more than %d deep",
                         SQZI_JSON_DEPTH);
    return sqzi_fail(error, SQZ_EFORMAT, at, "not a JSON object: %s is expected at byte %zu",
                     c->expected, at + 1);
}

sqz_status sqzi_json_members(char *line, size_t n, sqzi_buffer *members, sqz_error *error)
{
    cursor c = {line, line + n, NULL};
    skip_space(&c);
    if (peek(&c) != '{') {
        c.expected = "{";
        return report(&c, line, error);
    }
    c.at++;
    skip_space(&c);
    bool more = peek(&c) != '}';
    while (more) {
        sqzi_json_member member;
        if (!take_member(&c, &member)) return report(&c, line, error);
        const sqz_status status = sqzi_buffer_append(members, &member, sizeof member, error);
        if (status != SQZ_OK) return status;
        more = peek(&c) == ',';
        if (more) c.at++;
    }
    if (peek(&c) != '}') {
        c.expected = "a comma or }";
        return report(&c, line, error);
    }
    c.at++;
    skip_space(&c);
    c.expected = "the end of the line behind the object";
    return c.at == c.end ? SQZ_OK : report(&c, line, error);
}

static uint32_t hex(const char *digits)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        const char d = digits[i];
        value = value * 16 + (uint32_t)(is_digit(d) ? d - '0' : (d | 32) - 'a' + 10);
    }
    return value;
}

static size_t put_code_point(uint32_t c, char *to)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    const size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i; i--, c >>= 6) to[i] = (char)(0x80 | (c & 0x3F));
    to[0] = (char)((n == 2 ? 0xC0 : n == 3 ? 0xE0 : 0xF0) | c);
    return n;
}

/* The code point of an escape \uXXXX, both halves of a pair; *used bytes. */
static uint32_t read_unicode(const char *at, const char *end, size_t *used)
{
    const uint32_t first = hex(at + 2);
    *used = 6;
    if (first < 0xD800 || first > 0xDFFF) return first;
    if (first < 0xDC00 && end - at >= 12 && at[6] == '\\' && at[7] == 'u') {
        const uint32_t second = hex(at + 8);
        if (second >= 0xDC00 && second <= 0xDFFF) {
            *used = 12;
            return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        }
    }
    return 0xFFFD;
}

size_t sqzi_json_decode(sqz_text string, char *to)
{
    static const char escapes[] = "b\bf\fn\nr\rt\t";
    const char *at = string.bytes, *end = string.n_bytes ? at + string.n_bytes : at;
    size_t n = 0, used;
    while (at < end) {
        if (*at != '\\') {
            to[n++] = *at++;
        } else if (at[1] == 'u') {
            const uint32_t code_point = read_unicode(at, end, &used);
            n += put_code_point(code_point, to + n);
            at += used;
        } else {
            to[n] = at[1];
            for (const char *e = escapes; *e; e += 2)
                if (*e == at[1]) to[n] = e[1];
            n++;
            at += 2;
        }
    }
    return n;
}

ptrdiff_t sqz_json_string(sqz_text value, char *to)
{
    if (value.n_bytes < 2 || value.bytes[0] != '"') return -1;
    return (ptrdiff_t)sqzi_json_decode((sqz_text){value.bytes + 1, value.n_bytes - 2}, to);
}
