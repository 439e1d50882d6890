/* SPDX-License-Identifier: Apache-2.0 */
/* PyTorch archives from a stranger: zip files and rows of pickles. */
#include <string.h>

#include "fuzz/fuzz_weights.h"

static const sqzt_token tokens[] = {
    SQZT_TOKEN("\x80\2"),
    SQZT_TOKEN("\x95\0\0\0\0\0\0\0\0"),
    SQZT_TOKEN("."),
    SQZT_TOKEN("("),
    SQZT_TOKEN("0"),
    SQZT_TOKEN("1"),
    SQZT_TOKEN("2"),
    SQZT_TOKEN("}"),
    SQZT_TOKEN("]"),
    SQZT_TOKEN(")"),
    SQZT_TOKEN("t"),
    SQZT_TOKEN("l"),
    SQZT_TOKEN("d"),
    SQZT_TOKEN("a"),
    SQZT_TOKEN("e"),
    SQZT_TOKEN("s"),
    SQZT_TOKEN("u"),
    SQZT_TOKEN("R"),
    SQZT_TOKEN("b"),
    SQZT_TOKEN("Q"),
    SQZT_TOKEN("N"),
    SQZT_TOKEN("\x85"),
    SQZT_TOKEN("\x86"),
    SQZT_TOKEN("\x87"),
    SQZT_TOKEN("\x88"),
    SQZT_TOKEN("\x89"),
    SQZT_TOKEN("\x8a\1\1"),
    SQZT_TOKEN("\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
    SQZT_TOKEN("\x8c\1x"),
    SQZT_TOKEN("X\1\0\0\0x"),
    SQZT_TOKEN("X\xff\xff\xff\xff"),
    SQZT_TOKEN("q\0"),
    SQZT_TOKEN("q\1"),
    SQZT_TOKEN("h\0"),
    SQZT_TOKEN("h\1"),
    SQZT_TOKEN("r\xff\xff\7\0"),
    SQZT_TOKEN("j\1\0\0\0"),
    SQZT_TOKEN("\x94"),
    SQZT_TOKEN("\x93"),
    SQZT_TOKEN("K\1"),
    SQZT_TOKEN("M\1\1"),
    SQZT_TOKEN("J\xff\xff\xff\xff"),
    SQZT_TOKEN("G\0\0\0\0\0\0\0\0"),
    SQZT_TOKEN("ctorch\nFloatStorage\n"),
    SQZT_TOKEN("ctorch\nHalfStorage\n"),
    SQZT_TOKEN("ctorch._utils\n_rebuild_tensor_v2\n"),
    SQZT_TOKEN("ctorch._utils\n_rebuild_parameter\n"),
    SQZT_TOKEN("ccollections\nOrderedDict\n"),
    SQZT_TOKEN("cos\nsystem\n"),
    SQZT_TOKEN("X\7\0\0\0storage"),
    SQZT_TOKEN("PK\1\2"),
    SQZT_TOKEN("PK\3\4"),
    SQZT_TOKEN("PK\5\6"),
};

/* Without the storages: in a zip file the headers, names, list and data.pkl; in a row of pickles
 * all but the last quarter. */
static size_t structure(const uint8_t *data, size_t n, sqzt_range ranges[SQZT_RANGES])
{
    if (n < 4 || memcmp(data, "PK\3\4", 4) != 0) {
        ranges[0] = (sqzt_range){0, n - n / 4};
        return 1;
    }
    size_t first = n, members = 0;
    for (size_t i = 4; i + 4 <= n; i++) {
        if (memcmp(data + i, "PK\3\4", 4) == 0 && members++ == 0) ranges[0] = (sqzt_range){0, i};
        if (first == n && memcmp(data + i, "PK\1\2", 4) == 0) first = i;
    }
    if (!members) ranges[0] = (sqzt_range){0, first};
    ranges[1] = (sqzt_range){first, n};
    return 2;
}

const sqzt_fuzz_format sqzt_fuzz_format_of_harness = {.structure = structure,
                                                      .tokens = tokens,
                                                      .n_tokens = sizeof tokens / sizeof *tokens};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    sqzt_fuzz_weights("pytorch_model.bin", data, n);
    return 0;
}
