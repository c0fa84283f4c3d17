#pragma once
// The LwM2M server under load: notifications acknowledged when durable, beside libcoap's example
// server, which acknowledges in memory; and what 20,000 registered clients cost.

#include "app/bench/interop.h"

namespace penstock::app {

/// {"lwm2m_notifications_per_s" (per core: by the CPU that the whole server used), "lwm2m_clients",
/// "lwm2m_client_bytes", "lwm2m_resident_mb", "lwm2m_ratio", …}. Without Debian's libcoap3-bin the
/// ratio is null.
Result<Json> bench_interop_lwm2m(const InteropBenchOptions& options);

}  // namespace penstock::app
