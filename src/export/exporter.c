/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of an export share: notes, metadata of the model, and JSON values with their
 * errors. */
#include <stdarg.h>
#include <stdio.h>

#include "export/exporter.h"
#include "model/context.h"
#include "text/unicode.h"

void sqzi_export_note(const sqzi_exporter *e, const char *format, ...)
{
    char text[512];
    va_list arguments;
    if (!e->options.note) return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    e->options.note(e->options.user, text);
}

bool sqzi_export_has(const sqzi_exporter *e, const char *key)
{
    return sqzi_gguf_find(e->model->gguf, key) != NULL;
}

sqzi_span sqzi_export_string(const sqzi_exporter *e, const char *key)
{
    const sqzi_gguf_value *value = sqzi_gguf_find(e->model->gguf, key);
    if (!value || value->is_array || value->type != SQZI_GGUF_STRING) return (sqzi_span){"", 0};
    const unsigned char *at = value->data;
    return sqzi_gguf_next_string(&at);
}

bool sqzi_export_is_text(sqzi_span text)
{
    size_t length = 0;
    for (size_t i = 0; i < text.n; i += length) {
        const uint32_t code = sqzi_utf8_next((const unsigned char *)text.bytes + i, text.n - i,
                                             &length);
        /* ill-formed reads as U+FFFD */
        if (code == 0 ||
            (code == 0xFFFD && (length != 3 || memcmp(text.bytes + i, "\xEF\xBF\xBD", 3) != 0)))
            return false;
    }
    return true;
}

sqz_status sqzi_export_text(const sqzi_exporter *e, sqzi_span text, const char *what, json_t **out)
{
    *out = NULL;
    if (!sqzi_export_is_text(text))
        return sqzi_fail(e->error, SQZ_EFORMAT, 0,
                         "%s is no UTF-8, or holds a NUL byte: JSON cannot hold it", what);
    *out = json_stringn(text.bytes, text.n);
    return *out ? SQZ_OK : sqzi_fail(e->error, SQZ_ENOMEM, 0, "no memory for %s", what);
}

sqz_status sqzi_export_set(const sqzi_exporter *e, json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0
               ? SQZ_OK
               : sqzi_fail(e->error, SQZ_ENOMEM, 0, "no memory for the JSON value '%.60s'", key);
}
