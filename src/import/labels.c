/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the classes: id2label, or label2id the other way round. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "import/importer.h"

enum { LABEL = 32 };

/* A label as text: a string, or a number or truth value in Python's words. `text` is room for it.
 */
static const char *label_text(const json_t *label, char text[LABEL])
{
    if (json_is_string(label)) return json_string_value(label);
    if (json_is_integer(label)) snprintf(text, LABEL, "%lld", (long long)json_integer_value(label));
    else if (json_is_real(label)) snprintf(text, LABEL, "%.17g", json_real_value(label));
    else if (json_is_boolean(label)) snprintf(text, LABEL, json_is_true(label) ? "True" : "False");
    else return NULL;
    return text;
}

/* The whole number that a key is, -1 where it is none. */
static json_int_t id_of_text(const char *text)
{
    char *end;
    const long long id = strtoll(text, &end, 10);
    return *text && !*end ? id : -1;
}

typedef struct labels {
    const sqzi_importer *importer;
    sqzi_span *of_class; /* [classes] */
    char (*made)[LABEL]; /* [classes], for labels that are no strings */
    json_int_t last;     /* the largest class that is named */
    uint32_t n;
} labels;

static void place(labels *l, json_int_t k, const json_t *label, const char *text)
{
    if (k > l->last) l->last = k;
    if (k < 0 || k >= (json_int_t)l->importer->classes) return;
    if (!text) text = label_text(label, l->made[k]);
    if (!text) return;
    if (!l->of_class[k].bytes) l->n++;
    l->of_class[k] = sqzi_span_of(text);
}

/* id2label as an object (its keys "0", "1" ..) or a list, else label2id. */
static void place_all(labels *l)
{
    const json_t *config = l->importer->config, *names = json_object_get(config, "id2label");
    const char *key;
    json_t *value;
    size_t i;
    json_object_foreach ((json_t *)names, key, value) place(l, id_of_text(key), value, NULL);
    json_array_foreach (names, i, value) place(l, (json_int_t)i, value, NULL);
    if (json_is_object(names) || json_is_array(names)) return;
    json_object_foreach (json_object_get(config, "label2id"), key, value) {
        place(l,
              json_is_string(value)    ? id_of_text(json_string_value(value))
              : json_is_integer(value) ? json_integer_value(value)
                                       : -1,
              NULL, key);
    }
}

static void tell_labels(const sqzi_importer *m, uint32_t named)
{
    if (!named)
        sqzi_import_note(m,
                         "%s names no labels: LABEL_0 to LABEL_%u stand in, and what they mean is "
                         "not known",
                         m->config_file, m->classes - 1);
    else if (named < m->classes)
        sqzi_import_note(m,
                         "%s names %u of %u labels: LABEL_ and the class's number stand in for the "
                         "others",
                         m->config_file, named, m->classes);
}

sqz_status sqzi_import_labels(sqzi_importer *m)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    labels l = {.importer = m, .last = -1};
    l.of_class = sqzi_allocate_zeroed(m->source.allocator, m->classes, sizeof *l.of_class);
    l.made = sqzi_allocate_zeroed(m->source.allocator, m->classes, sizeof *l.made);
    FAIL_IF(!l.of_class || !l.made, SQZ_ENOMEM, 0, "no memory for %u labels", m->classes);
    place_all(&l);
    FAIL_IF(l.last >= (json_int_t)m->classes, SQZ_EFORMAT, 0,
            "%s names a label for class %lld, and the classifier has %u classes: they do not "
            "belong together",
            m->config_file, (long long)l.last, m->classes);
    for (uint32_t k = 0; k < m->classes; k++) {
        if (l.of_class[k].bytes) continue;
        snprintf(l.made[k], LABEL, "LABEL_%u", (unsigned)k);
        l.of_class[k] = sqzi_span_of(l.made[k]);
    }
    tell_labels(m, l.n);
    sqzi_gguf_put_strings(m->writer, "sqz.head.labels", l.of_class, m->classes);
    sqzi_gguf_put_bool(m->writer, "sqz.head.labels_named", l.n > 0);
fail:
    sqzi_release(m->source.allocator, l.of_class, m->classes * sizeof *l.of_class);
    sqzi_release(m->source.allocator, l.made, m->classes * sizeof *l.made);
    return status;
}
