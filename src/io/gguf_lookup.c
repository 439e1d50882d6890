/* SPDX-License-Identifier: Apache-2.0 */
/* Typed lookup of metadata, with the errors a user reads. */
#include "base/error.h"
#include "io/gguf.h"

#include <inttypes.h>

static const char *type_name(sqzi_gguf_type type)
{
    static const char *const names[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                        "bool", "string", "array", "u64", "i64", "f64"};
    return (size_t)type < sizeof names / sizeof *names ? names[type] : "?";
}

/* NULL and SQZ_OK when an optional key is absent. A number may have another width of the same kind:
 * `wanted` is what the format writes. */
static sqz_status find(const sqzi_gguf *gguf, const char *key, sqzi_gguf_type wanted, bool array,
                       bool required, const sqzi_gguf_value **out, sqz_error *error)
{
    const sqzi_gguf_value *value = sqzi_gguf_find(gguf, key);
    *out = NULL;
    if (!value) {
        if (!required) return SQZ_OK;
        return sqzi_fail(error, SQZ_EFORMAT, 0, "metadata '%s' is missing: %s%s expected", key,
                         type_name(wanted), array ? "[]" : "");
    }
    const bool fits = value->type == wanted ||
                      (wanted == SQZI_GGUF_F64 && value->type == SQZI_GGUF_F32);
    if (!fits || value->is_array != array)
        return sqzi_fail(error, SQZ_EFORMAT, value->offset, "metadata '%s' is %s%s, %s%s expected",
                         key, type_name(value->type), value->is_array ? "[]" : "",
                         type_name(wanted), array ? "[]" : "");
    *out = value;
    return SQZ_OK;
}

sqz_status sqzi_gguf_get_u32(const sqzi_gguf *gguf, const char *key, bool required, uint32_t *out,
                             sqz_error *error)
{
    const sqzi_gguf_value *value;
    const sqz_status status = find(gguf, key, SQZI_GGUF_U32, false, required, &value, error);
    if (value) *out = (uint32_t)sqzi_gguf_uint(value, 0);
    return status;
}

sqz_status sqzi_gguf_get_f64(const sqzi_gguf *gguf, const char *key, bool required, double *out,
                             sqz_error *error)
{
    const sqzi_gguf_value *value;
    const sqz_status status = find(gguf, key, SQZI_GGUF_F64, false, required, &value, error);
    if (value) *out = sqzi_gguf_float(value, 0);
    return status;
}

sqz_status sqzi_gguf_get_bool(const sqzi_gguf *gguf, const char *key, bool required, bool *out,
                              sqz_error *error)
{
    const sqzi_gguf_value *value;
    const sqz_status status = find(gguf, key, SQZI_GGUF_BOOL, false, required, &value, error);
    if (value) *out = value->data[0] != 0;
    return status;
}

sqz_status sqzi_gguf_get_string(const sqzi_gguf *gguf, const char *key, bool required,
                                sqzi_span *out, sqz_error *error)
{
    const sqzi_gguf_value *value;
    const sqz_status status = find(gguf, key, SQZI_GGUF_STRING, false, required, &value, error);
    if (value) {
        const unsigned char *at = value->data;
        *out = sqzi_gguf_next_string(&at);
    }
    return status;
}

sqz_status sqzi_gguf_get_array(const sqzi_gguf *gguf, const char *key, sqzi_gguf_type type,
                               uint64_t n, bool required, const sqzi_gguf_value **out,
                               sqz_error *error)
{
    const sqz_status status = find(gguf, key, type, true, required, out, error);
    if (*out && n != UINT64_MAX && (*out)->n != n)
        return sqzi_fail(error, SQZ_EFORMAT, (*out)->offset,
                         "metadata '%s' has %" PRIu64 " items, %" PRIu64 " expected", key,
                         (*out)->n, n);
    return status;
}
