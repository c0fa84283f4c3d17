#pragma once
// The files of a device-model repository: a folder, or a web site over HTTP(S). OpenSSL and Beast
// stay in the .cpp.

#include <string>

#include "base/result.h"
#include "twin/model_repository.h"

namespace penstock::app {

/// How to read files below `location`: a folder, http://HOST[:PORT][/PATH] or https://…. Each call
/// opens a connection of its own, takes answers up to the size it is given and within its time, and
/// follows no redirect. Certificates are checked against the system's authorities (or
/// SSL_CERT_FILE). Nothing outside of a folder is read, not through symbolic links either.
Result<twin::FetchFile> repository_files(const std::string& location);

}  // namespace penstock::app
