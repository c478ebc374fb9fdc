#include "ua/refresh_meaning.h"

#include <stddef.h>

refresh_meaning refresh_meaning_of(unsigned code)
{
    static const struct {
        unsigned code;
        refresh_meaning meaning;
    } table[] = {{401, MEANS_CHALLENGE}, {403, MEANS_UNREGISTERED}, {404, MEANS_UNREGISTERED}, {405, MEANS_NO_UPDATE}, {407, MEANS_CHALLENGE}, {408, MEANS_LATER},
                 {415, MEANS_MEDIA},     {422, MEANS_INTERVAL},     {430, MEANS_LATER},        {480, MEANS_LATER},     {481, MEANS_GONE},      {487, MEANS_LATER},   {488, MEANS_MEDIA},
                 {491, MEANS_GLARE},     {501, MEANS_NO_UPDATE},    {505, MEANS_NO},           {513, MEANS_NO},        {606, MEANS_MEDIA}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].code == code)
            return table[i].meaning;
    return code >= 500 && code < 600 ? MEANS_LATER : MEANS_NO;
}
