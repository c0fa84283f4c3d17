#pragma once
// TLS 1.2 and 1.3 as a codec: bytes from the wire in, plain bytes out, and back. No I/O; OpenSSL
// stays in tls.cpp.

#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace penstock::interop {

struct TlsOptions {
  std::string certificate_file;  ///< PEM, with the chain
  std::string key_file;          ///< PEM
  std::string client_ca_file;    ///< PEM; empty: client certificates are not asked for
  bool require_client_certificate = false;
};

/// The server's side of one certificate. Any thread.
class TlsContext {
 public:
  static Result<std::unique_ptr<TlsContext>> create(const TlsOptions& options);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  /// Reads the files again where they changed; new connections use what was read. On an error the
  /// old certificate stays in use. True: something was reloaded.
  Result<bool> reload_if_changed();

 private:
  friend class TlsSession;
  TlsContext();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct TlsClientOptions {
  std::string ca_pem;           ///< whom to trust; empty: the authorities of the system
  std::string certificate_pem;  ///< the client's own, with its chain; empty: none
  std::string key_pem;
};

/// The client's side. Any thread.
class TlsClientContext {
 public:
  /// kInvalidArgument: what cannot be read, or a key that is not the certificate's.
  static Result<std::unique_ptr<TlsClientContext>> create(const TlsClientOptions& options);
  ~TlsClientContext();
  TlsClientContext(const TlsClientContext&) = delete;
  TlsClientContext& operator=(const TlsClientContext&) = delete;
  /// When the own certificate ends; 0: there is none.
  [[nodiscard]] Timestamp expires() const;

 private:
  friend class TlsSession;
  TlsClientContext();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// One connection. One thread at a time.
class TlsSession {
 public:
  explicit TlsSession(TlsContext& context);
  /// A client's: the peer's certificate must be `server_name`'s, a DNS name or an address. Its
  /// first bytes come from on_wire() with nothing.
  TlsSession(TlsClientContext& context, const std::string& server_name);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  /// Takes wire bytes; appends plain bytes to `plain` and what must go back (handshake, alerts) to
  /// `wire_out`. The error ends the connection, after `wire_out` is sent.
  Status on_wire(ByteView wire, Bytes& plain, Bytes& wire_out);
  /// Encrypts `plain`; REQUIRES: handshake_done().
  Status seal(ByteView plain, Bytes& wire_out);
  void shutdown(Bytes& wire_out);
  [[nodiscard]] bool handshake_done() const;
  /// The peer said close_notify.
  [[nodiscard]] bool peer_closed() const;
  /// Common name of the client's verified certificate; empty without one.
  [[nodiscard]] std::string client_common_name() const;
  /// When that certificate expires; 0 without one.
  [[nodiscard]] Timestamp client_certificate_expires() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock::interop
