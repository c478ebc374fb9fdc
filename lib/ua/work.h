/* Reconcile, do not script: an object that may not be as it should puts its work on the list; at the end of the input each looks at
 * what is wanted and what is, and starts what is missing. Looking twice does no harm, so anybody may ask for it. */
#ifndef ROAM_UA_WORK_H
#define ROAM_UA_WORK_H

#include "base/list.h"

typedef struct roam_work {
    roam_list node;
    void (*run)(struct roam_work *work);
} roam_work;

static inline void work_init(roam_work *work, void (*run)(roam_work *work))
{
    list_init(&work->node);
    work->run = run;
}

#endif
