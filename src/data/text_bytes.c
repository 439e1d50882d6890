/* SPDX-License-Identifier: Apache-2.0 */
#include "data/text_bytes.h"

#include <stdint.h>
#include <string.h>

bool sqzi_is_blank(const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != ' ' && bytes[i] != '\t' && bytes[i] != '\r') return false;
    return true;
}

/* Bytes of the ASCII that leads, in steps of eight. */
static size_t skip_ascii(const unsigned char *at, size_t n)
{
    uint64_t eight;
    size_t i = 0;
    for (; n - i >= sizeof eight; i += sizeof eight) {
        memcpy(&eight, at + i, sizeof eight);
        if (eight & UINT64_C(0x8080808080808080)) break;
    }
    while (i < n && at[i] < 0x80) i++;
    return i;
}

/* Bytes of the character that begins here, none of ASCII; 0: it is ill-formed. */
static size_t character(const unsigned char *at, size_t n)
{
    const unsigned char first = at[0];
    const size_t length = first < 0xC2   ? 0
                          : first < 0xE0 ? 2
                          : first < 0xF0 ? 3
                          : first < 0xF5 ? 4
                                         : 0;
    if (!length || n < length) return 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xC0) != 0x80) return 0;
    const bool shorter = (first == 0xE0 && at[1] < 0xA0) || (first == 0xF0 && at[1] < 0x90);
    const bool surrogate = first == 0xED && at[1] > 0x9F, above = first == 0xF4 && at[1] > 0x8F;
    return shorter || surrogate || above ? 0 : length;
}

bool sqzi_is_utf8(const char *bytes, size_t n)
{
    const unsigned char *at = (const unsigned char *)bytes, *end = at + n;
    for (;;) {
        at += skip_ascii(at, (size_t)(end - at));
        if (at == end) return true;
        const size_t length = character(at, (size_t)(end - at));
        if (!length) return false;
        at += length;
    }
}

/* No text in UTF-8 begins so. */
static const struct {
    const char *bytes;
    size_t n;
    const char *what;
} signatures[] = {
    {"\xFF\xFE", 2,
     "begins with the mark of UTF-16: UTF-8 is expected (iconv -f UTF-16 -t UTF-8 "
     "makes it)"},
    {"\xFE\xFF", 2,
     "begins with the mark of UTF-16: UTF-8 is expected (iconv -f UTF-16 -t UTF-8 "
     "makes it)"},
    {"\x1F\x8B", 2, "is compressed by gzip: text is expected (gzip -dc makes it)"},
    {"\x28\xB5\x2F\xFD", 4, "is compressed by zstd: text is expected (zstd -dc makes it)"},
    {"\xFD"
     "7zXZ",
     5, "is compressed by xz: text is expected (xz -dc makes it)"},
    {"BZh91AY&SY", 10, "is compressed by bzip2: text is expected (bzip2 -dc makes it)"},
    {"PK\x03\x04", 4,
     "is a zip archive, as spreadsheets (.xlsx, .ods) are too: text is expected "
     "(unzip it, or save the sheet as CSV)"},
    {"PAR1\x15", 5, "is a Parquet file: text is expected (save the table as CSV or JSON Lines)"},
    {"\x93NUMPY", 6, "is a NumPy array: text is expected"},
    {"GGUF\x03", 5, "is a model file of GGUF: text is expected"},
};

const char *sqzi_no_text(const char *bytes, size_t n, bool *known)
{
    *known = true;
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++) {
        const size_t of_it = n < signatures[i].n ? n : signatures[i].n;
        if (of_it && memcmp(bytes, signatures[i].bytes, of_it) != 0) continue;
        if (of_it == signatures[i].n) return signatures[i].what;
        *known = false;
    }
    return NULL;
}
