/* SPDX-License-Identifier: Apache-2.0 */
/* Around calls of jansson, which reads and writes numbers as the thread's locale does: it knows a
 * comma for the point, but stops the process at a mark of two bytes. Between begin and end this
 * thread's numbers have a point; other threads and the host's locale are left alone. */
#ifndef SQZI_POINT_LOCALE_H
#define SQZI_POINT_LOCALE_H

typedef struct sqzi_point_locale {
    void *own, *before;
} sqzi_point_locale;

/* Without memory for it the locale stays as it is. */
sqzi_point_locale sqzi_point_locale_begin(void);
void sqzi_point_locale_end(sqzi_point_locale locale);

#endif
