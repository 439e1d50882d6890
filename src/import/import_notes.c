/* SPDX-License-Identifier: Apache-2.0 */
/* What an import tells beside its result. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "import/importer.h"

void sqzi_import_note(const sqzi_importer *importer, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    if (!importer->options.note) return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    importer->options.note(importer->options.user, text);
}

void sqzi_list_name(sqzi_name_list *list, const char *name)
{
    const size_t used = strlen(list->text), n = strlen(name);
    list->n++;
    /* room for " and 4294967295 more" */
    if (list->left_out || used + n + 2 + 24 > sizeof list->text) list->left_out++;
    else snprintf(list->text + used, sizeof list->text - used, "%s%s", used ? ", " : "", name);
}

const char *sqzi_listed(sqzi_name_list *list)
{
    const size_t used = strlen(list->text);
    if (list->left_out)
        snprintf(list->text + used, sizeof list->text - used, "%s%u more", used ? " and " : "",
                 (unsigned)list->left_out);
    return list->text;
}
