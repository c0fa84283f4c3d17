#pragma once
// /lwm2m. Its book is not one of Services: a server need not speak LwM2M.

#include "api/http/router.h"
#include "api/services.h"

namespace penstock::interop::lwm2m {
class ClientBook;
}

namespace penstock::api {

/// `book` null: the routes are there and say how to have them answer.
void add_lwm2m_routes(Router& router, const Services& services, interop::lwm2m::ClientBook* book);

}  // namespace penstock::api
