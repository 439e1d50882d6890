/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX's locale of a thread. Only LC_NUMERIC is C's; the rest stays the thread's. */
#define _POSIX_C_SOURCE 200809L
#include "data/point_locale.h"

#include <locale.h>

sqzi_point_locale sqzi_point_locale_begin(void)
{
    sqzi_point_locale locale = {0};
    const locale_t before = uselocale((locale_t)0), copy = duplocale(before);
    if (!copy) return locale;
    const locale_t own = newlocale(LC_NUMERIC_MASK, "C", copy); /* takes the copy over */
    if (!own) {
        freelocale(copy);
        return locale;
    }
    locale.own = own;
    locale.before = uselocale(own);
    return locale;
}

void sqzi_point_locale_end(sqzi_point_locale locale)
{
    if (!locale.own) return;
    (void)uselocale(locale.before);
    freelocale(locale.own);
}
