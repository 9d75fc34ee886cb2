/* mozjs_audit.cc: auditors. */

#include "mozjs_debugger.h"

#include <js/GCAPI.h>

#include <errno.h>

namespace mozjs
{

void audit_tell_gone(engine *e)
{
    Debug *debug = e->debug.get();
    if (debug->something_died) {
        debug->something_died = false;
        for (auto i = debug->realms.begin(); i != debug->realms.end();) {
            bool lives = i->second->global.unbarrieredGet();
            if (!lives)
                debug->gone.emplace_back(ENGINE_REALM, i->first);
            i = lives ? std::next(i) : debug->realms.erase(i);
        }
    }
    while (!debug->gone.empty()) {
        auto [referent, id] = debug->gone.front();
        debug->gone.erase(debug->gone.begin());
        if (e->ops->debug)
            e->ops->debug->on_gone(e->host, referent, id);
    }
}

void audit_update_weak(Debug *, JSTracer *) {}
void audit_realm_detached(engine *, Realm *) {}

void audit_realm_added(engine *e, Realm *realm)
{
    if (e->debug->watch_realms)
        e->ops->debug->on_realm(e->host, realm->id);
}

int audit_watch_realms(engine *e, bool on)
{
    e->debug->watch_realms = on;
    return 0;
}

int audit_realms(engine *e, void (*each)(void *, uint64_t, const char *), void *userdata)
{
    audit_tell_gone(e);
    for (auto &[id, realm] : e->debug->realms)
        each(userdata, id, realm->label.c_str());
    return 0;
}

} // namespace mozjs
