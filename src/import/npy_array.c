/* SPDX-License-Identifier: Apache-2.0 */
/* The header is the text of a Python dict with three keys, whose order is not fixed:
 *
 *     {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
 *
 * It is scanned by hand: what is no such dict, to the byte, is refused. */
#include "import/npy_array.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/span.h"

enum { MAX_DIMS = 4, MAX_HEADER = 1 << 16 };

/* A place in the header's text. Every step fails at its end. */
typedef struct scan {
    const char *at, *end;
} scan;

static void skip_blanks(scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n')) s->at++;
}

static bool take(scan *s, char wanted)
{
    skip_blanks(s);
    if (s->at == s->end || *s->at != wanted) return false;
    s->at++;
    return true;
}

static bool take_word(scan *s, const char *word)
{
    const size_t n = strlen(word);
    skip_blanks(s);
    if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0) return false;
    s->at += n;
    return true;
}

static bool take_string(scan *s, sqzi_span *text)
{
    if (!take(s, '\'')) return false;
    const char *begin = s->at;
    while (s->at < s->end && *s->at != '\'') s->at++;
    *text = (sqzi_span){begin, (size_t)(s->at - begin)};
    return take(s, '\'');
}

static bool take_number(scan *s, uint64_t *value)
{
    skip_blanks(s);
    const char *begin = s->at;
    for (*value = 0; s->at < s->end && *s->at >= '0' && *s->at <= '9'; s->at++) {
        if (*value > (UINT64_MAX >> 8)) return false;
        *value = *value * 10 + (uint64_t)(*s->at - '0');
    }
    return s->at > begin;
}

static bool take_shape(scan *s, sqzi_npy_array *array)
{
    if (!take(s, '(')) return false;
    array->n_dims = 0;
    while (!take(s, ')')) {
        if (array->n_dims == MAX_DIMS || !take_number(s, &array->shape[array->n_dims++]))
            return false;
        if (!take(s, ',')) return take(s, ')');
    }
    return true;
}

typedef struct header {
    sqzi_span type;
    bool fortran;
    uint32_t seen; /* bits of the keys */
} header;

static bool take_entry(scan *s, header *h, sqzi_npy_array *array)
{
    sqzi_span key;
    uint32_t bit = 0;
    if (!take_string(s, &key) || !take(s, ':')) return false;
    if (sqzi_span_is(key, "descr")) bit = take_string(s, &h->type) ? 1 : 0;
    else if (sqzi_span_is(key, "shape")) bit = take_shape(s, array) ? 2 : 0;
    else if (sqzi_span_is(key, "fortran_order"))
        bit = (h->fortran = take_word(s, "True")) || take_word(s, "False") ? 4 : 0;
    if (!bit || h->seen & bit) return false;
    h->seen |= bit;
    return true;
}

static bool read_header(const char *text, size_t n, header *h, sqzi_npy_array *array)
{
    scan s = {text, text + n};
    *h = (header){.seen = 0};
    if (!take(&s, '{')) return false;
    while (!take(&s, '}')) {
        if (!take_entry(&s, h, array)) return false;
        if (!take(&s, ',')) {
            if (!take(&s, '}')) return false;
            break;
        }
    }
    skip_blanks(&s);
    return h->seen == 7 && s.at == s.end;
}

static bool find_type(sqzi_span text, sqzi_npy_array *array)
{
    static const struct {
        const char *text;
        bool floats, is_signed;
        uint32_t bytes;
    } known[] = {{"<f4", true, true, 4},  {"<f8", true, true, 8},   {"<i4", false, true, 4},
                 {"<i8", false, true, 8}, {"<u4", false, false, 4}, {"|u1", false, false, 1}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (sqzi_span_is(text, known[i].text)) {
            array->floats = known[i].floats;
            array->is_signed = known[i].is_signed;
            array->number_bytes = known[i].bytes;
            return true;
        }
    return false;
}

/* Numbers in all, and their bytes; false when they do not fit. */
static bool count(sqzi_npy_array *array, size_t *bytes)
{
    size_t n = 1;
    for (uint32_t d = 0; d < array->n_dims; d++)
        if (array->shape[d] > SIZE_MAX || !sqzi_multiply(n, (size_t)array->shape[d], &n))
            return false;
    array->n = n;
    return sqzi_multiply(n, array->number_bytes, bytes);
}

sqz_status sqzi_npy_read(const char *file, const char *name, const unsigned char *data,
                         size_t bytes, sqzi_npy_array *array, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    header h;
    size_t needed;
    *array = (sqzi_npy_array){.n_dims = 0};
    FAIL_IF(bytes < 12 || memcmp(data, "\x93NUMPY", 6) != 0 || data[6] < 1 || data[6] > 3,
            SQZ_EFORMAT, 0, "%s: the array '%s' does not begin as one of numpy", file, name);
    const size_t begin = data[6] == 1 ? 10 : 12,
                 length = data[6] == 1 ? data[8] | (size_t)data[9] << 8
                                       : data[8] | (size_t)data[9] << 8 | (size_t)data[10] << 16 |
                                             (size_t)data[11] << 24;
    FAIL_IF(
        length > bytes - begin || length > MAX_HEADER, SQZ_EFORMAT, begin,
        "%s: the array '%s' claims a header of %zu bytes, %zu are there and at most %d are read",
        file, name, length, bytes - begin, MAX_HEADER);
    FAIL_IF(!read_header((const char *)data + begin, length, &h, array), SQZ_EFORMAT, begin,
            "%s: the array '%s' has a header that is not {'descr': .., 'fortran_order': .., "
            "'shape': (..)} with at most %d dimensions",
            file, name, MAX_DIMS);
    FAIL_IF(!find_type(h.type, array), SQZ_EUNSUPPORTED, begin,
            "%s: the array '%s' is of type '%.*s'; <f4, <f8, <i4, <i8, <u4 and |u1 can be read",
            file, name, (int)(h.type.n > 40 ? 40 : h.type.n), h.type.bytes);
    FAIL_IF(h.fortran && array->n_dims > 1, SQZ_EUNSUPPORTED, begin,
            "%s: the array '%s' is in Fortran order; save numpy.ascontiguousarray of it", file,
            name);
    FAIL_IF(!count(array, &needed) || needed != bytes - begin - length, SQZ_EFORMAT, begin,
            "%s: the array '%s' has %zu bytes of numbers, its shape needs another count", file,
            name, bytes - begin - length);
    array->data = data + begin + length;
fail:
    return status;
}

double sqzi_npy_float(const sqzi_npy_array *array, uint64_t i)
{
    float single;
    double number;
    if (array->number_bytes == 4) {
        memcpy(&single, array->data + 4 * i, 4);
        return (double)single;
    }
    memcpy(&number, array->data + 8 * i, 8);
    return number;
}

uint32_t sqzi_npy_uint(const sqzi_npy_array *array, uint64_t i)
{
    const unsigned char *b = array->data + i * array->number_bytes;
    uint64_t value = 0;
    for (uint32_t k = array->number_bytes; k-- > 0;) value = value << 8 | b[k];
    const bool negative = array->is_signed && b[array->number_bytes - 1] >> 7;
    return negative || value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}
