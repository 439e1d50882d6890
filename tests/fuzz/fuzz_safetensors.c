/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors from a stranger. */
#include <string.h>

#include "fuzz/fuzz_weights.h"

static const sqzt_token tokens[] = {
    SQZT_TOKEN("\"dtype\":\"F32\""),
    SQZT_TOKEN("\"dtype\":\"BF16\""),
    SQZT_TOKEN("\"F64\""),
    SQZT_TOKEN("\"I64\""),
    SQZT_TOKEN("\"BOOL\""),
    SQZT_TOKEN("\"shape\":[1152921504606846976]"),
    SQZT_TOKEN("[2,2]"),
    SQZT_TOKEN("[]"),
    SQZT_TOKEN("{}"),
    SQZT_TOKEN("null"),
    SQZT_TOKEN("-1"),
    SQZT_TOKEN("1e400"),
    SQZT_TOKEN("9223372036854775807"),
    SQZT_TOKEN("18446744073709551616"),
    SQZT_TOKEN("\"data_offsets\":[0,8]"),
    SQZT_TOKEN("\"__metadata__\":{\"format\":\"pt\"},"),
    SQZT_TOKEN("\\u0000"),
    SQZT_TOKEN("\\ud800"),
    SQZT_TOKEN("\""),
    SQZT_TOKEN(","),
    SQZT_TOKEN("}"),
};

static uint64_t header_bytes(const uint8_t *data)
{
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--) length = length << 8 | data[i];
    return length;
}

static size_t header(const uint8_t *data, size_t n, sqzt_range ranges[SQZT_RANGES])
{
    if (n < 8) return 0;
    const uint64_t length = header_bytes(data);
    ranges[0] = (sqzt_range){0, length < n - 8 ? 8 + (size_t)length : n};
    return 1;
}

static void resize(uint8_t *data, size_t n, size_t at, int64_t delta)
{
    if (n < 8 || at < 8) return;
    const uint64_t length = header_bytes(data);
    if (at > 8 + length) return;
    for (int i = 0; i < 8; i++) data[i] = (uint8_t)((length + (uint64_t)delta) >> (8 * i));
}

const sqzt_fuzz_format sqzt_fuzz_format_of_harness = {.structure = header,
                                                      .resize = resize,
                                                      .tokens = tokens,
                                                      .n_tokens = sizeof tokens / sizeof *tokens};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    sqzt_fuzz_weights("model.safetensors", data, n);
    return 0;
}
