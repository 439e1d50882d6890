/* SPDX-License-Identifier: Apache-2.0 */
/* The filter between a text and jansson, which asks for its input piece by piece: nothing is
 * copied whole. */
#include "data/json_lenient.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct filter {
    const char *text;
    size_t n, at;
    size_t plain; /* up to here the text goes as it stands */
    bool quoted;
    char pending[32]; /* in place of what was read last */
    size_t n_pending, given;
} filter;

static const char huge[] = "1.7976931348623157e308", largest_integer[] = "9223372036854775807";

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool in_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' ||
           c == '-' || c == '.';
}

static void replace(filter *f, size_t taken, const char *with)
{
    f->at += taken;
    f->given = 0;
    f->n_pending = (size_t)snprintf(f->pending, sizeof f->pending, "%s", with);
}

static size_t digits(const char *text, size_t n)
{
    size_t i = 0;
    while (i < n && is_digit(text[i])) i++;
    return i;
}

/* A number of JSON: its parts, or false. The exponent stops at a million. */
typedef struct number {
    size_t sign, whole, fraction; /* bytes of "-", of digits before the point, of those behind */
    bool real;
    int64_t exponent;
} number;

static bool read_number(const char *text, size_t n, number *out)
{
    enum { ENOUGH = 1000000 };
    *out = (number){.sign = n && text[0] == '-'};
    size_t i = out->sign;
    i += out->whole = digits(text + i, n - i);
    if (out->whole == 0 || (out->whole > 1 && text[out->sign] == '0')) return false;
    if (i < n && text[i] == '.') {
        out->real = true;
        i += 1 + (out->fraction = digits(text + i + 1, n - i - 1));
        if (out->fraction == 0) return false;
    }
    if (i < n && (text[i] == 'e' || text[i] == 'E')) {
        out->real = true;
        i++;
        const bool negative = i < n && text[i] == '-';
        i += i < n && (text[i] == '-' || text[i] == '+');
        if (digits(text + i, n - i) == 0) return false;
        for (; i < n && is_digit(text[i]); i++)
            if (out->exponent < ENOUGH) out->exponent = 10 * out->exponent + (text[i] - '0');
        if (negative) out->exponent = -out->exponent;
    }
    return i == n;
}

/* Whether no double holds it, or hardly: 1.7e308 and more. */
static bool is_huge(const char *text, const number *x)
{
    const char *whole = text + x->sign, *fraction = whole + x->whole + 1;
    int64_t first = (int64_t)x->whole - 1 + x->exponent; /* power of ten of the first digit */
    const char *at = whole;
    if (*whole == '0') {
        size_t zeros = 0;
        while (zeros < x->fraction && fraction[zeros] == '0') zeros++;
        if (zeros == x->fraction) return false;
        first = x->exponent - 1 - (int64_t)zeros;
        at = fraction + zeros;
    }
    if (first != 308) return first > 308;
    const char *end = at >= fraction ? fraction + x->fraction : whole + x->whole;
    char second = at + 1 < end ? at[1] : '0';
    if (at == whole && x->whole == 1 && x->fraction) second = fraction[0];
    return *at > '1' || second >= '7';
}

static bool is_beyond_64_bits(const char *text, const number *x)
{
    const size_t n = sizeof largest_integer - 1;
    return !x->real &&
           (x->whole > n || (x->whole == n && memcmp(text + x->sign, largest_integer, n) > 0));
}

/* A number or a word, which ends at text[end]. */
static void read_word(filter *f, size_t end)
{
    const char *word = f->text + f->at;
    const size_t n = end - f->at;
    const bool minus = word[0] == '-';
    char spelt[32];
    number x;
    f->plain = end;
    if (n == 3 && memcmp(word, "NaN", 3) == 0) replace(f, n, "\"NaN\"");
    else if (n - minus == 8 && memcmp(word + minus, "Infinity", 8) == 0) {
        snprintf(spelt, sizeof spelt, "%s%s", minus ? "-" : "", huge);
        replace(f, n, spelt);
    } else if (read_number(word, n, &x) && is_huge(word, &x)) {
        snprintf(spelt, sizeof spelt, "%s%s", minus ? "-" : "", huge);
        replace(f, n, spelt);
    } else if (read_number(word, n, &x) && is_beyond_64_bits(word, &x)) {
        snprintf(spelt, sizeof spelt, "%s%c.%.16se%u", minus ? "-" : "", word[minus],
                 word + minus + 1, (unsigned)(x.whole - 1));
        replace(f, n, spelt);
    }
}

/* The 16 bits of \uXXXX at text[at], or -1. */
static int32_t escaped_unit(const filter *f, size_t at)
{
    int32_t unit = 0;
    if (f->n - at < 6 || f->text[at] != '\\' || f->text[at + 1] != 'u') return -1;
    for (size_t i = 2; i < 6; i++) {
        const char c = f->text[at + i];
        const int digit = is_digit(c)            ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) return -1;
        unit = 16 * unit + digit;
    }
    return unit;
}

static void read_escape(filter *f)
{
    const int32_t unit = escaped_unit(f, f->at);
    const bool high = unit >= 0xD800 && unit < 0xDC00, low = unit >= 0xDC00 && unit < 0xE000;
    const int32_t next = high ? escaped_unit(f, f->at + 6) : -1;
    if (high && next >= 0xDC00 && next < 0xE000) f->plain = f->at + 12;
    else if (high || low) replace(f, 6, "\\ufffd");
    else f->plain = f->at + 2 < f->n ? f->at + 2 : f->n;
}

/* What comes next, up to f->plain or in f->pending. */
static void look(filter *f)
{
    const char c = f->text[f->at];
    f->plain = f->at + 1;
    if (f->quoted) {
        if (c == '\\') read_escape(f);
        else f->quoted = c != '"';
        return;
    }
    f->quoted = c == '"';
    if (!in_word(c)) return;
    size_t end = f->at;
    while (end < f->n && in_word(f->text[end])) end++;
    read_word(f, end);
}

static size_t fill(void *buffer, size_t capacity, void *data)
{
    filter *f = data;
    char *to = buffer;
    size_t n = 0;
    while (n < capacity) {
        if (f->given < f->n_pending) to[n++] = f->pending[f->given++];
        else if (f->at == f->n) break;
        else if (f->at < f->plain) to[n++] = f->text[f->at++];
        else look(f);
    }
    return n;
}

json_t *sqzi_json_lenient(const char *text, size_t bytes, json_error_t *fault)
{
    static const char mark[] = "\xEF\xBB\xBF";
    const size_t skipped = bytes >= 3 && memcmp(text, mark, 3) == 0 ? 3 : 0;
    filter f = {.text = text + skipped, .n = bytes - skipped};
    return json_load_callback(fill, &f, 0, fault);
}
