//! IP pools for FreeRADIUS 3.2 and for the sysadmin who runs them.
