/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the classes: the caller's, else id2label, or label2id the other way round. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"
#include "import/importer.h"

enum { LABEL = 32 };

/* A label as text: a string, or a number or truth value in Python's words. `text` is room for it.
 */
static const char *label_text(const json_t *label, char text[LABEL])
{
    if (json_is_string(label)) return json_string_value(label);
    if (json_is_integer(label)) snprintf(text, LABEL, "%lld", (long long)json_integer_value(label));
    else if (json_is_real(label))
        snprintf(text, LABEL, "%s", SQZI_REAL(17, json_real_value(label)));
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

/* The caller's, one for each class. */
static sqz_status place_given(labels *l)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = l->importer->error;
    const sqz_import_options *o = &l->importer->options;
    FAIL_IF(o->n_labels != l->importer->classes, SQZ_EINVAL, 0,
            "%zu labels are given, the classifier has %u classes", o->n_labels,
            l->importer->classes);
    for (size_t k = 0; k < o->n_labels; k++) {
        FAIL_IF(!o->labels || !o->labels[k] || !sqzi_import_is_text(sqzi_span_of(o->labels[k])),
                SQZ_EINVAL, k, "label %zu is empty, or no UTF-8 without control characters", k);
        for (size_t i = 0; i < k; i++)
            FAIL_IF(strcmp(o->labels[i], o->labels[k]) == 0, SQZ_EINVAL, k,
                    "labels %zu and %zu are both '%s'", i, k, o->labels[k]);
        l->of_class[k] = sqzi_span_of(o->labels[k]);
    }
    l->n = l->importer->classes;
fail:
    return status;
}

static void tell_labels(const sqzi_importer *m, uint32_t named)
{
    if (!named)
        sqzi_import_note(m,
                         "%s names no labels: LABEL_0 to LABEL_%u stand in, and what they mean is "
                         "not known (in the program `import --labels A,B,...` names them)",
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
    if (m->options.n_labels) TRY(place_given(&l));
    else place_all(&l);
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
    m->has_labels = true;
fail:
    sqzi_release(m->source.allocator, l.of_class, m->classes * sizeof *l.of_class);
    sqzi_release(m->source.allocator, l.made, m->classes * sizeof *l.made);
    return status;
}

sqz_status sqzi_import_check_labels(const sqzi_importer *m)
{
    if (!m->options.n_labels || m->has_labels) return SQZ_OK;
    return sqzi_fail(m->error, SQZ_EINVAL, 0,
                     "%s: labels are given, and the head that is read has no classes", m->given);
}
