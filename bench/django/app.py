"""One view of Django that lets s3chunkuploader put the file of a POST into S3, run by gunicorn."""

import os

from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="bench",
    USE_TZ=True,
    FILE_UPLOAD_HANDLERS=["s3chunkuploader.file_handler.S3FileUploadHandler"],
    AWS_ACCESS_KEY_ID="bench",
    AWS_SECRET_ACCESS_KEY="bench",
    AWS_REGION="us-east-1",
    AWS_STORAGE_BUCKET_NAME="bench",
    AWS_S3_ENDPOINT_URL=os.environ["S3_URL"],
)

from django.core.wsgi import get_wsgi_application  # noqa: E402 after the settings
from django.http import JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402


def upload(request):
    file = request.FILES["file"]
    return JsonResponse({"key": file.name, "size": file.file_size})


urlpatterns = [path("", upload)]
application = get_wsgi_application()
