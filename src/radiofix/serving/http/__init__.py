"""`radiofix serve`: CSI over HTTP to fixes, many users' requests put together into batches."""
