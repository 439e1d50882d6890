/* SPDX-License-Identifier: Apache-2.0 */
/* JSON, written by hand because most of it is arrays of floats, for which a tree of allocated
 * numbers is slow. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

enum { MAX_DEPTH = 16 };

static uint32_t depth;
static bool filled[MAX_DEPTH], after_key;

static void separate(void)
{
    if (!after_key && depth && filled[depth - 1]) putc(',', cli_out());
    if (depth) filled[depth - 1] = true;
    after_key = false;
}

void cli_json_open(char bracket)
{
    separate();
    putc(bracket, cli_out());
    filled[depth++] = false;
}

void cli_json_close(char bracket)
{
    putc(bracket, cli_out());
    if (--depth == 0) putc('\n', cli_out());
}

static void end_key(void)
{
    putc(':', cli_out());
    after_key = true;
}

void cli_json_key(const char *key)
{
    cli_json_string(key);
    end_key();
}

void cli_json_key_text(const char *bytes, size_t n)
{
    cli_json_text(bytes, n);
    end_key();
}

/* Bytes of the well-formed sequence at text, 0 where it is ill-formed; then *bad is the length of
 * the maximal part to replace. */
static size_t sequence(const unsigned char *text, size_t n, size_t *bad)
{
    const unsigned char lead = text[0];
    const size_t length = lead < 0x80                    ? 1
                          : lead >= 0xC2 && lead < 0xE0  ? 2
                          : (lead & 0xF0) == 0xE0        ? 3
                          : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                         : 0;
    *bad = 1;
    for (size_t i = 1; i < length; i++) {
        const unsigned char low = i > 1 ? 0x80 : lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
        const unsigned char high = i > 1 ? 0xBF : lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
        if (i >= n || text[i] < low || text[i] > high) {
            *bad = i;
            return 0;
        }
    }
    return length;
}

static void put_escaped(unsigned char byte)
{
    static const char escapes[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (const char *e = escapes; *e; e += 2) {
        if ((unsigned char)*e != byte) continue;
        putc('\\', cli_out());
        putc(e[1], cli_out());
        return;
    }
    if (byte < 0x20 || byte == 0x7F) fprintf(cli_out(), "\\u%04x", byte);
    else putc(byte, cli_out());
}

void cli_json_text(const char *bytes, size_t n)
{
    const unsigned char *text = (const unsigned char *)bytes;
    separate();
    putc('"', cli_out());
    for (size_t i = 0; i < n;) {
        size_t bad;
        const size_t length = sequence(text + i, n - i, &bad);
        if (length == 1) put_escaped(text[i]);
        else if (length) fwrite(text + i, 1, length, cli_out());
        else fputs("\xEF\xBF\xBD", cli_out());
        i += length ? length : bad;
    }
    putc('"', cli_out());
}

void cli_json_string(const char *text)
{
    if (text) cli_json_text(text, strlen(text));
    else cli_json_null();
}

void cli_json_number(uint64_t value)
{
    separate();
    fprintf(cli_out(), "%llu", (unsigned long long)value);
}

void cli_json_float(float value)
{
    separate();
    if (isfinite(value)) fprintf(cli_out(), "%.9g", (double)value);
    else fputs("null", cli_out());
}

void cli_json_double(double value)
{
    char text[40];
    separate();
    if (!isfinite(value)) {
        fputs("null", cli_out());
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    fputs(text, cli_out());
}

void cli_json_key_string(const char *key, const char *text)
{
    cli_json_key(key);
    cli_json_string(text);
}

void cli_json_key_number(const char *key, uint64_t value)
{
    cli_json_key(key);
    cli_json_number(value);
}

void cli_json_key_double(const char *key, double value)
{
    cli_json_key(key);
    cli_json_double(value);
}

void cli_json_bool(bool value)
{
    separate();
    fputs(value ? "true" : "false", cli_out());
}

void cli_json_null(void)
{
    separate();
    fputs("null", cli_out());
}

/* JSON's own bytes: what is not ASCII stands in strings alone. */
static void put_json(const char *json, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t bad;
        const size_t length = sequence((const unsigned char *)json + i, n - i, &bad);
        if (length) fwrite(json + i, 1, length, cli_out());
        else fputs("\xEF\xBF\xBD", cli_out());
        i += length ? length : bad;
    }
}

void cli_json_raw(const char *json, size_t n)
{
    separate();
    put_json(json, n);
}

void cli_json_key_raw(const char *key, size_t n)
{
    separate();
    putc('"', cli_out());
    put_json(key, n);
    putc('"', cli_out());
    end_key();
}

void cli_json_floats(const float *values, size_t n)
{
    cli_json_open('[');
    for (size_t i = 0; i < n; i++) cli_json_float(values[i]);
    cli_json_close(']');
}

void cli_print_text(const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        putc((unsigned char)bytes[i] < 0x20 || bytes[i] == 0x7F ? ' ' : bytes[i], cli_out());
}
