#pragma once
// DTLS 1.2 and TLS 1.2/1.3 for CoAP: pre-shared keys and X.509 on one port, cheap return by session
// tickets. Bytes in, bytes out; OpenSSL stays in dtls.cpp.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace penstock::interop::lwm2m {

struct SecureOptions {
  bool stream = false;           ///< TLS, else DTLS
  std::string certificate_file;  ///< PEM; empty: pre-shared keys only
  std::string key_file;
  std::string client_ca_file;  ///< empty: no client certificates
  /// 48 bytes that seal tickets: the same after a restart, so that sleeping devices need not do a
  /// whole handshake.
  std::string ticket_key;
  /// The key of an identity; nothing: unknown. Any thread.
  std::function<std::optional<std::string>(std::string_view identity)> key_of;
};

/// Who the other end proved to be.
struct SecurePeer {
  std::string identity;            ///< PSK identity; empty with a certificate
  std::vector<std::string> names;  ///< of the certificate: CN, SAN DNS names and URIs
  bool resumed = false;
  int64_t session_made_s = 0;  ///< when the keys were first agreed on, seconds since 1970
};

class SecureContext {
 public:
  static Result<std::unique_ptr<SecureContext>> create(SecureOptions options);
  ~SecureContext();
  SecureContext(const SecureContext&) = delete;
  SecureContext& operator=(const SecureContext&) = delete;

  struct Impl;  ///< dtls.cpp

 private:
  friend class SecureSession;
  SecureContext();
  std::unique_ptr<Impl> impl_;
};

/// One connection. One thread.
class SecureSession {
 public:
  /// `send`: takes one datagram (or bytes of the stream) for the wire; called within the others.
  SecureSession(SecureContext& context, std::function<void(ByteView)> send);
  ~SecureSession();
  SecureSession(const SecureSession&) = delete;
  SecureSession& operator=(const SecureSession&) = delete;

  /// DTLS before the first hello with our cookie: keeps nothing of the peer (RFC 6347, 4.2.1).
  /// `address`: what the cookie is made of. True: the cookie is good, the session begins.
  bool listen(ByteView datagram, std::string_view address);
  /// What came from the wire. Appends plain messages (datagrams: one an element; streams: all in
  /// one). False: the session is over; `why` says why.
  bool on_wire(ByteView bytes, std::vector<Bytes>& plain, std::string& why);
  bool seal(ByteView plain);
  void shutdown();
  [[nodiscard]] bool established() const;
  [[nodiscard]] SecurePeer peer() const;
  /// Repeats a handshake flight where it is time. False: given up.
  bool on_tick();

  struct Impl;  ///< dtls.cpp

 private:
  std::unique_ptr<Impl> impl_;
};

/// Whether a datagram begins a handshake: a ClientHello of epoch 0. `first`: one that cannot have a
/// cookie yet.
bool is_client_hello(ByteView datagram, bool& first);

}  // namespace penstock::interop::lwm2m
