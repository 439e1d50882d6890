/* SPDX-License-Identifier: Apache-2.0 */
/* README.md: the model's name as its title, and what the model file says of licence, languages and
 * base models as the front matter that the import reads again. */
#include <stdio.h>
#include <string.h>

#include "export/exporter.h"

/* A file that is being written; the first error stays. */
typedef struct card {
    sqzi_file_writer file;
    sqz_status status;
    sqz_error *error;
} card;

static void put(card *c, sqzi_span text)
{
    if (c->status == SQZ_OK)
        c->status = sqzi_file_writer_put(&c->file, text.bytes, text.n, c->error);
}

/* A line of `before` and a quoted value, where that needs no escapes. */
static void put_quoted(card *c, const char *before, sqzi_span value)
{
    if (!value.n || memchr(value.bytes, '"', value.n) || memchr(value.bytes, '\\', value.n) ||
        memchr(value.bytes, '\n', value.n) || !sqzi_export_is_text(value))
        return;
    put(c, sqzi_span_of(before));
    put(c, sqzi_span_of("\""));
    put(c, value);
    put(c, sqzi_span_of("\"\n"));
}

static void put_list(sqzi_exporter *e, card *c, const char *ours, const char *theirs)
{
    const sqzi_gguf_value *values = sqzi_gguf_find(e->model->gguf, ours);
    if (!values || !values->is_array || values->type != SQZI_GGUF_STRING || values->n == 0) return;
    const unsigned char *at = values->data;
    put(c, sqzi_span_of(theirs));
    for (uint64_t i = 0; i < values->n; i++) put_quoted(c, "- ", sqzi_gguf_next_string(&at));
}

static void put_base_models(sqzi_exporter *e, card *c)
{
    static const char site[] = "https://huggingface.co/";
    const size_t n = sizeof site - 1;
    for (int i = 0; i < 16; i++) {
        char key[64];
        snprintf(key, sizeof key, "general.base_model.%d.repo_url", i);
        const sqzi_span url = sqzi_export_string(e, key);
        if (url.n <= n || memcmp(url.bytes, site, n) != 0) continue;
        if (i == 0) put(c, sqzi_span_of("base_model:\n"));
        put_quoted(c, "- ", (sqzi_span){url.bytes + n, url.n - n});
    }
}

sqz_status sqzi_export_card(sqzi_exporter *e)
{
    card c = {.error = e->error};
    c.status = sqzi_folder_writer_file(&e->folder, "README.md", &c.file, e->error);
    if (c.status != SQZ_OK) return c.status;
    put(&c, sqzi_span_of("---\n"));
    put_quoted(&c, "license: ", sqzi_export_string(e, "general.license"));
    put_quoted(&c, "license_name: ", sqzi_export_string(e, "general.license.name"));
    put_quoted(&c, "license_link: ", sqzi_export_string(e, "general.license.link"));
    put_list(e, &c, "general.languages", "language:\n");
    put_list(e, &c, "general.tags", "tags:\n");
    put_base_models(e, &c);
    put(&c, sqzi_span_of("---\n\n# "));
    put(&c, sqzi_export_string(e, "general.name"));
    put(&c, sqzi_span_of("\n"));
    if (c.status == SQZ_OK) c.status = sqzi_file_writer_commit(&c.file, e->error);
    sqzi_file_writer_discard(&c.file);
    return c.status;
}
